package swapdev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPageCluster(t *testing.T) {
	h := host{pageCluster: filepath.Join(fixture(t, map[string]string{"page-cluster": "3\n"}), "page-cluster")}
	run, err := NewRun(t.TempDir())
	noErr(t, err)
	value := func(want string) {
		t.Helper()
		if got := read(h.pageCluster); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	restore := func(want bool) {
		t.Helper()
		if changed, err := h.restore(h.pageCluster, run.Record().PageCluster); err != nil || changed != want {
			t.Errorf("restored: %t, %v", changed, err)
		}
	}
	restore(false) // nothing was set
	noErr(t, run.setPageCluster(h, 0))
	value("0")
	restore(true)
	value("3")
	restore(false)
	noErr(t, run.setPageCluster(h, 3)) // as it is
	restore(false)
	value("3")
	noErr(t, run.setPageCluster(h, 1))
	noErr(t, os.WriteFile(h.pageCluster, []byte("5\n"), 0))
	restore(false) // somebody else's
	value("5")
	noErr(t, run.Close())

	h.pageCluster = filepath.Join(fixture(t, map[string]string{"page-cluster": "many\n"}), "page-cluster")
	if err := run.setPageCluster(h, 0); err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Error(err)
	}
}

// A killed run has left the setting changed.
func TestCleanPageCluster(t *testing.T) {
	h := kernel
	h.pageCluster = filepath.Join(fixture(t, map[string]string{"page-cluster": "3"}), "page-cluster")
	state := t.TempDir()
	run, err := NewRun(state)
	noErr(t, err)
	noErr(t, run.setPageCluster(h, 0))
	noErr(t, run.Release())
	report, err := h.clean(t.Context(), state, CleanOptions{})
	if err != nil || len(report) != 1 || !strings.Contains(report[0], "vm.page-cluster is 3 again") || read(h.pageCluster) != "3" {
		t.Errorf("%q, %v; it is %s", report, err, read(h.pageCluster))
	}
	empty(t, state)
}
