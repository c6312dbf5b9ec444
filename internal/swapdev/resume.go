package swapdev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Resume goes on with the run of a process that is dead, or is about to leave what it made to us. lock is a copy of its
// Run.Lock, owned by the Run from now on, errors included. It is an error if some process holds the lock otherwise. Nothing is
// written: see Sign.
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
	name, gone := strings.CutSuffix(name, " (deleted)")
	id, ok := strings.CutSuffix(name, ".lock")
	if !ok || !isID(id) {
		return nil, fmt.Errorf("%s is no lock of a run", path)
	}
	if !gone {
		if err := CheckDir(dir); err != nil {
			return nil, err
		}
	}
	// It is held through this descriptor already, unless somebody opened the file anew.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	record, err := readRecord(dir, id)
	if gone || err != nil { // the run's end removes both, too, but leaves no copy
		if record, err = readCopy(lock, id); err != nil {
			return nil, err
		}
	}
	record.PID, record.Started = os.Getpid(), started()
	return &Run{dir: dir, lock: lock, record: record}, nil
}

// readCopy reads the record that is in the file of a run's lock.
func readCopy(lock *os.File, id string) (r Record, err error) {
	text, err := io.ReadAll(io.NewSectionReader(lock, 0, 1<<20))
	if err == nil {
		r, err = parseRecord(text, id)
	}
	if err != nil {
		return r, fmt.Errorf("the record of run %s was removed, and its lock has no copy: %w", id, err)
	}
	return r, nil
}

// Sign writes into the record of a run that was resumed whose it is now. Only people read that: where it cannot be written, the run
// goes on all the same.
func (r *Run) Sign() error { return r.change(func(*Record) {}) }
