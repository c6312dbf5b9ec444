package swapdev

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// lockCopy returns a copy of the lock's descriptor, as a keeper has one.
func lockCopy(t *testing.T, r *Run) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(r.Lock()), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	return os.NewFile(uintptr(fd), "copy")
}

// A record whose lock is kept is nobody's to clean, through any number of owners; the last one takes it away.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	first, err := NewRun(dir)
	noErr(t, err)
	noErr(t, first.SetLoop("/dev/loop99999"))
	noErr(t, first.change(func(c *Record) { c.PID, c.Started = 1, 1 }))
	kept := lockCopy(t, first)
	noErr(t, first.lock.Close()) // it dies
	for range 2 {
		if report, err := clean(t, dir); err != nil || len(report) > 0 {
			t.Fatalf("Clean of a kept run: %q, %v", report, err)
		}
		next, err := Resume(lockCopy(t, &Run{lock: kept}))
		noErr(t, err)
		want := first.Record()
		want.PID, want.Started = os.Getpid(), started()
		if next.Record() != want || next.ID() != first.ID() {
			t.Errorf("resumed %+v, want %+v", next.Record(), want)
		}
		noErr(t, next.SetMount("/run/zswapd/mnt"))
		first = next
		noErr(t, next.lock.Close())
	}
	last, err := Resume(lockCopy(t, &Run{lock: kept}))
	noErr(t, err)
	noErr(t, last.Close())
	if r, err := Resume(kept); err == nil {
		t.Errorf("a run that is over was resumed: %+v", r.Record())
	}
	empty(t, dir)
}

// A run goes on although somebody has removed its record and its lock, and leaves the folder alone: a record without the lock that the
// keeper has a copy of would be taken for one of a dead run.
func TestResumeWithoutFolder(t *testing.T) {
	for what, remove := range map[string]func(dir string) error{
		"the files": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
		"all":       os.RemoveAll,
		"the record": func(dir string) error {
			left, _ := filepath.Glob(filepath.Join(dir, "*.json"))
			return os.Remove(left[0])
		},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		run, err := NewRun(dir)
		noErr(t, err)
		noErr(t, run.SetLoop("/dev/loop99998"))
		kept := lockCopy(t, run)
		noErr(t, remove(dir))
		noErr(t, run.SetLoop("/dev/loop99999"))
		noErr(t, remove(dir)) // again: where there is the lock, the record was written anew
		for range 2 {
			noErr(t, run.lock.Close()) // it dies
			next, err := Resume(lockCopy(t, &Run{lock: kept}))
			noErr(t, err)
			if r := next.Record(); r.Loop != "/dev/loop99999" || r.PID != os.Getpid() || next.ID() != run.ID() {
				t.Errorf("%s removed: resumed %+v", what, r)
			}
			noErr(t, next.Sign())
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); what != "the record" && len(left) > 0 {
				t.Errorf("%s removed: made %q", what, left)
			}
			run = next
		}
		noErr(t, run.Close())
		if r, err := Resume(kept); err == nil {
			t.Errorf("%s removed: a run that is over was resumed: %+v", what, r.Record())
		}
	}
}

// A run goes on where its record cannot be written, and the record stays whole.
func TestResumeWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	first, err := NewRun(dir)
	noErr(t, err)
	noErr(t, first.change(func(c *Record) { c.PID = 1 }))
	kept := lockCopy(t, first)
	noErr(t, first.lock.Close())
	noErr(t, os.Mkdir(recordPath(dir, first.ID())+".new", 0o700)) // nothing can be written there
	next, err := Resume(kept)
	noErr(t, err)
	if err := next.Sign(); err == nil {
		t.Error("it could be written")
	}
	written := func(want int) {
		t.Helper()
		if r, err := readRecord(dir, first.ID()); err != nil || r.PID != want {
			t.Errorf("the record is %+v, %v; want process %d", r, err, want)
		}
	}
	written(1)
	noErr(t, os.Remove(recordPath(dir, first.ID())+".new"))
	noErr(t, next.Sign())
	written(os.Getpid())
	noErr(t, next.Close())
	empty(t, dir)
}

// When the last copy of the lock is gone, the run is dead.
func TestKeptRunDiesWithItsKeeper(t *testing.T) {
	dir := t.TempDir()
	r, err := NewRun(dir)
	noErr(t, err)
	kept := lockCopy(t, r)
	noErr(t, r.lock.Close())
	noErr(t, kept.Close())
	_, err = clean(t, dir)
	noErr(t, err)
	empty(t, dir)
}

// What is no lock, or not ours, is refused, and closed.
func TestResumeRefuses(t *testing.T) {
	dir := t.TempDir()
	r, err := NewRun(dir)
	noErr(t, err)
	shared := t.TempDir()
	everybodys, err := NewRun(shared)
	noErr(t, err)
	noErr(t, os.Chmod(shared, 0o777))
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		noErr(t, err)
		return f
	}
	for name, f := range map[string]*os.File{
		"a lock that its owner holds":     open(lockPath(dir, r.ID())),
		"the record":                      open(recordPath(dir, r.ID())),
		"a lock without a record":         open(lockPath(dir, "00000000000000aa")),
		"a file that is no run's":         open(lockPath(dir, "x")),
		"a lock in a folder of everybody": lockCopy(t, everybodys),
	} {
		if _, err := Resume(f); err == nil {
			t.Errorf("%s was resumed", name)
		}
		if err := f.Close(); err == nil {
			t.Errorf("%s is still open", name)
		}
	}
	noErr(t, errors.Join(r.Close(), everybodys.Close()))
}
