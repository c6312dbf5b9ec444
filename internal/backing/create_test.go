package backing

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	other, ours := filepath.Join(dir, "letters"), filepath.Join(dir, "pages")
	noErr(t, os.WriteFile(other, []byte("dear"), 0o600))
	if _, err := Create(other); err == nil {
		t.Error("a file of somebody's was taken")
	}
	if b, _ := os.ReadFile(other); string(b) != "dear" {
		t.Error("and written to")
	}
	noErr(t, os.WriteFile(other, append(make([]byte, 64<<10), "_BHRfS_M"...), 0o600)) // as btrfs begins, more or less
	if _, err := Create(other); err == nil {
		t.Error("a file system that leaves its first 64 KiB empty was taken")
	}
	f, err := Create(ours)
	noErr(t, err)
	if _, err := Create(ours); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a file in use: %v", err)
	}
	noErr(t, f.Close())
	f, err = Create(ours) // a dead process's
	noErr(t, err)
	noErr(t, f.Close())
	f, err = Create(dir)
	noErr(t, err)
	defer f.Close()
	var st unix.Stat_t
	noErr(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 {
		t.Error("the file in a folder has a name")
	}
	if _, err := Create("/dev/null"); err == nil {
		t.Error("/dev/null was taken")
	}
}
