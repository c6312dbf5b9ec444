package swapdev

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Area is a swap area that is on, for people who look and change nothing.
type Area struct {
	Name     string // as whoever turned it on saw it
	Size     uint64 // bytes
	Used     uint64 // bytes
	Priority int
}

// Areas returns those that a file like /proc/swaps lists.
func Areas(path string) (list []Area, err error) {
	areas, err := host{swaps: path}.areas()
	for _, a := range areas {
		list = append(list, Area{a.name, a.size, a.used, a.priority})
	}
	return list, err
}

// Found is a record, and whether somebody owns it: a living process, or whoever keeps it for a successor.
type Found struct {
	Record Record
	Owned  bool
}

// Records returns the records in a folder, and disturbs nobody: no file is made, and only locks of records that were written
// are tried, for a moment. Records that cannot be read are errors beside the others. A missing folder has none.
func Records(dir string) (found []Found, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !isID(id) {
			continue
		}
		r, e := readRecord(dir, id)
		if errors.Is(e, os.ErrNotExist) { // it has just ended
			continue
		}
		var owned bool
		if e == nil {
			owned, e = isOwned(dir, id)
		}
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		found = append(found, Found{r, owned})
	}
	return found, err
}

func isOwned(dir, id string) (bool, error) {
	f, err := os.Open(lockPath(dir, id))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err {
	case nil:
		return false, nil
	case unix.EWOULDBLOCK:
		return true, nil
	default:
		return false, &os.PathError{Op: "flock", Path: filepath.Base(f.Name()), Err: err}
	}
}
