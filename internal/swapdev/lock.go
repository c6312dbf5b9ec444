package swapdev

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockRun takes the run's lock without waiting. The file may be removed between open and lock, by a Clean that
// was a moment faster: then the lock is on nothing, and we look again.
func lockRun(dir, id string) (*os.File, error) {
	for {
		f, err := os.OpenFile(lockPath(dir, id), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("swapdev: lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errAlive
			}
			return nil, fmt.Errorf("swapdev: lock %s: %w", f.Name(), err)
		}
		if isNamed(f, f.Name()) {
			return f, nil
		}
		_ = f.Close()
	}
}

// isNamed reports whether it is this file that is at a path.
func isNamed(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	named, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, named)
}

// LockBench makes sure that one process at a time measures devices, until it calls release: two would measure each other, and undo each
// other's settings.
func LockBench(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("swapdev: state folder: %w", err)
	}
	lock, err := lockRun(dir, "bench")
	if errors.Is(err, errAlive) {
		return nil, errors.New("another one measures swap just now: wait for it")
	}
	if err != nil {
		return nil, err
	}
	return func() error { return removeRun(dir, "bench", lock) }, nil
}

// removeRun removes record and lock, in this order, and lets go. Then nobody can go on with the run.
func removeRun(dir, id string, lock *os.File) error {
	errs := []error{lock.Truncate(0)}
	for _, path := range []string{recordPath(dir, id) + ".new", recordPath(dir, id), lockPath(dir, id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, lock.Close())...)
}

// CheckDir refuses a folder where others could plant records: Clean acts on them as root.
func CheckDir(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("swapdev: state folder %s: %w", dir, err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("swapdev: state folder %s (owner %d, mode %o): want it owned by %d and writable by nobody else", dir, st.Uid, st.Mode&0o7777, os.Geteuid())
	}
	return nil
}

// started returns when this process was started, or 0.
func started() uint64 {
	text := read("/proc/self/stat")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // from field 3 on
	if len(fields) < 20 {
		return 0
	}
	v, _ := strconv.ParseUint(fields[19], 10, 64)
	return v
}
