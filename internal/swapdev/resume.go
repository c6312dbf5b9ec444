package swapdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Resume goes on with the run of a process that is dead, or is about to leave what it made to us. lock is a copy of its
// Run.Lock, owned by the Run from now on, errors included. It is an error if some process holds the lock otherwise.
func Resume(lock *os.File) (*Run, error) {
	r, err := resume(lock)
	if err != nil {
		return nil, fmt.Errorf("swapdev: resume: %w", errors.Join(err, lock.Close()))
	}
	return r, nil
}

func resume(lock *os.File) (*Run, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", lock.Fd()))
	if err != nil {
		return nil, err
	}
	dir, name := filepath.Split(path)
	id, ok := strings.CutSuffix(name, ".lock")
	if !ok || !isID(id) { // "ID.lock (deleted)" is none any more
		return nil, fmt.Errorf("%s is no lock of a run", path)
	}
	if err := CheckDir(dir); err != nil {
		return nil, err
	}
	// It is held through this descriptor already, unless somebody opened the file anew.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	record, err := readRecord(dir, id)
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, record: record}
	return r, r.change(func(c *Record) { c.PID, c.Started = os.Getpid(), started() })
}
