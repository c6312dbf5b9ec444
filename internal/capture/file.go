package capture

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckFile says why a file cannot be written, before anything is looked at. force allows to replace a file.
func CheckFile(file string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case file == "":
		return errors.New("where to? give -o FILE")
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("-o %s: not a file that can be replaced", file)
	case err == nil && !force:
		return fmt.Errorf("-o %s: there is such a file; --force replaces it", file)
	}
	dir, err := os.Stat(filepath.Dir(file))
	switch {
	case err != nil:
		return fmt.Errorf("-o: %w", err)
	case !dir.IsDir():
		return fmt.Errorf("-o %s: %s is no folder", file, filepath.Dir(file))
	}
	return nil
}

// WriteFile writes a sample of at most so many pages to a file that only its owner may read, and returns how many it holds.
// The file appears when it is whole, or not at all, and takes the place of another only by force.
func (pop *Population) WriteFile(ctx context.Context, file string, force bool, most int64, seed uint64, progress func(done int64)) (written int64, err error) {
	d, err := newDraft(filepath.Dir(file))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	w := bufio.NewWriterSize(d.f, 1<<20)
	err = pop.Sample(ctx, most, seed, func(run []byte) error {
		written += int64(len(run) / PageSize)
		if progress != nil {
			progress(written)
		}
		_, err := w.Write(run)
		return err
	})
	if err == nil && written == 0 {
		err = ErrNothing
	}
	if err = errors.Join(err, w.Flush(), d.f.Sync()); err != nil {
		return 0, err
	}
	return written, d.place(file, force)
}

// draft is a file that is not whole yet. It has no name, so that nothing is left of it if we are killed, where the file system can do
// that, and else one that nobody looks for.
type draft struct {
	f    *os.File
	name string // "": none, or none any more
}

const draftPattern = ".zswapd-capture-*"

func newDraft(dir string) (*draft, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return &draft{f: os.NewFile(uintptr(fd), filepath.Join(dir, "draft"))}, nil
	}
	f, err := os.CreateTemp(dir, draftPattern) // mode 0600
	if err != nil {
		return nil, err
	}
	return &draft{f, f.Name()}, nil
}

// place gives the draft its name.
func (d *draft) place(file string, force bool) (err error) {
	if d.name == "" && force { // only what has a name can take another's
		if d.name, err = d.link(filepath.Join(filepath.Dir(file), strings.ReplaceAll(draftPattern, "*", rand.Text()))); err != nil {
			return err
		}
	}
	switch {
	case force:
		err = os.Rename(d.name, file)
	case d.name == "":
		_, err = d.link(file)
	default:
		err = unix.Renameat2(unix.AT_FDCWD, d.name, unix.AT_FDCWD, file, unix.RENAME_NOREPLACE)
		if err == unix.EINVAL { // not every file system has it
			return os.Link(d.name, file)
		}
	}
	if err == nil {
		d.name = ""
	}
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("-o %s: there is such a file by now; --force replaces it", file)
	}
	return err
}

// link gives a draft without a name one, and returns that.
func (d *draft) link(name string) (string, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", d.f.Fd())
	if err := unix.Linkat(unix.AT_FDCWD, path, unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return "", &os.PathError{Op: "link", Path: name, Err: err}
	}
	return name, nil
}

// close takes away what has not been placed.
func (d *draft) close() error {
	err := d.f.Close()
	if d.name != "" {
		err = errors.Join(err, os.Remove(d.name))
	}
	return err
}
