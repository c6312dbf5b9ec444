package swapdev

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const fileSize = 32<<20 + PageSize // not a multiple of what is written at a time

// onDisk returns a folder on a disk.
func onDisk(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	noErr(t, err)
	if CheckDisk(dir, fileSize) != nil {
		dir, err = os.MkdirTemp(".", "swapfile-")
		noErr(t, err)
		t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
		dir, err = filepath.Abs(dir)
		noErr(t, err)
	}
	return dir
}

// A swap file has no holes, or the kernel would refuse it; it takes pages, gives them back, and is removed.
func TestSwapFile(t *testing.T) {
	needRoot(t)
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	dir := onDisk(t)
	f, err := run.CreateFile(t.Context(), dir, fileSize)
	noErr(t, err)
	rescueFile(t, f.Path())
	if run.Record().File != f.Path() || filepath.Dir(f.Path()) != dir {
		t.Errorf("%s is in the record as %q", f.Path(), run.Record().File)
	}
	var st unix.Stat_t
	noErr(t, unix.Stat(f.Path(), &st))
	if st.Size != fileSize || st.Blocks*512 < fileSize || st.Mode&0o777 != 0o600 {
		t.Errorf("%d bytes, %d on the disk, mode %o", st.Size, st.Blocks*512, st.Mode)
	}
	if _, err := f.Used(); !errors.Is(err, ErrOff) {
		t.Errorf("Used before SwapOn: %v", err)
	}
	noErr(t, f.SwapOn(above(t), false))
	names, err := On()
	if err != nil || !strings.Contains(strings.Join(names, " "), f.Path()) {
		t.Errorf("on: %v, %v", names, err)
	}
	g := group(t, "file")
	hog, out := child(t, "hog", g.ProcsFile())
	if !out.Scan() || out.Text() != "filled" {
		t.Fatal(out.Text())
	}
	if used, err := f.Used(); err != nil || used < hogBytes/2 {
		t.Errorf("%d bytes are swapped out, %v", used, err)
	}
	noErr(t, g.SetLimit(64<<20))
	noErr(t, f.SwapOff(t.Context(), OffOptions{}))
	_, _ = stdin[hog].Write([]byte("check\n"))
	if !out.Scan() || out.Text() != "wrong 0" {
		t.Errorf("the hog's memory: %q", out.Text())
	}
	noErr(t, RemoveFile(f.Path()))
	noErr(t, RemoveFile(f.Path()))
	noErr(t, run.Close())
}

// rescueFile turns swap off when a test failed to, whatever happened.
func rescueFile(t *testing.T, path string) {
	t.Cleanup(func() {
		if _, err := File(path).Used(); err == nil {
			t.Errorf("%s was left on", path)
			_ = swapoff(path)
		}
	})
}

// What is called off or does not fit leaves no file.
func TestSwapFileIsNotMade(t *testing.T) {
	dir := onDisk(t)
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := run.CreateFile(ctx, dir, fileSize); !errors.Is(err, reason) {
		t.Errorf("called off: %v", err)
	}
	if _, err := run.CreateFile(t.Context(), dir, 1<<60); err == nil || !strings.Contains(err.Error(), "are free") {
		t.Errorf("too large: %v", err)
	}
	if _, err := run.CreateFile(t.Context(), dir+"/none", fileSize); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	empty(t, dir)
	if fs := (unix.Statfs_t{}); unix.Statfs("/dev/shm", &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
		if err := CheckDisk("/dev/shm", fileSize); err == nil || !strings.Contains(err.Error(), "no disk") {
			t.Errorf("in memory: %v", err)
		}
	}
	noErr(t, run.Close())
}

// A run is killed with its swap file on.
func TestCleanSwapFile(t *testing.T) {
	needRoot(t)
	state, dir := t.TempDir(), onDisk(t)
	owner, out := child(t, "file", state, dir)
	if !out.Scan() || !strings.HasPrefix(out.Text(), dir) {
		t.Fatal(out.Text())
	}
	path := out.Text()
	rescueFile(t, path)
	noErr(t, owner.Process.Kill())
	_ = owner.Wait()
	report, err := clean(t, state)
	noErr(t, err)
	if len(report) != 2 || !strings.Contains(report[0], "swapoff "+path) || !strings.Contains(report[1], "removed "+path) {
		t.Errorf("%q", report)
	}
	empty(t, dir)
	empty(t, state)
}

// A record that names somebody else's file, or device, or one that is gone.
func TestCleanOthersFiles(t *testing.T) {
	state := t.TempDir()
	other := filepath.Join(t.TempDir(), "zswapd-0123456789abcdef.swap")
	noErr(t, os.WriteFile(other, nil, 0o600))
	for _, c := range []Record{
		{File: other},
		{File: "/no/such/folder/file.swap"},
		{ZRAM: "/dev/zram99999"},
		{ZRAM: "/dev/null"},
		{ZRAM: "/dev/zram-1"},
	} {
		dead(t, state, func(r *Record) { r.File, r.ZRAM = c.File, c.ZRAM })
		if report, err := clean(t, state); err != nil || len(report) > 0 {
			t.Errorf("%+v: %q, %v", c, report, err)
		}
	}
	id := dead(t, state, func(r *Record) { r.File = "/no/such/folder/" + fileName(r.ID) })
	if report, err := clean(t, state); err != nil || len(report) > 0 {
		t.Errorf("%s: %q, %v", id, report, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	empty(t, state)
}
