package swapdev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSwappiness(t *testing.T) {
	h := kernel
	h.swappiness = filepath.Join(fixture(t, map[string]string{"swappiness": "60\n"}), "swappiness")
	dir := t.TempDir()
	run, err := NewRun(dir)
	noErr(t, err)
	s, err := run.openSwappiness(h)
	noErr(t, err)
	value := func(want string) {
		t.Helper()
		if got := read(h.swappiness); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	set := func(text string) { noErr(t, os.WriteFile(h.swappiness, []byte(text+"\n"), 0)) }
	value("60")
	for range 2 {
		noErr(t, s.Off())
		// A pwrite into a file leaves what is behind it; one into /proc does not.
		set(read(h.swappiness)[:1])
		value("0")
		noErr(t, s.Off())
		noErr(t, s.On())
		value("60")
		noErr(t, s.On())
	}
	noErr(t, s.Off())
	set("100") // somebody else's
	noErr(t, s.On())
	value("100")
	set("0") // as it is
	noErr(t, s.Off())
	noErr(t, s.On())
	value("0")

	// A server is killed with it changed, and the next one goes on. What somebody else has set since it began is not forgotten.
	set("150")
	noErr(t, s.Note())
	noErr(t, s.Off())
	set("0")
	noErr(t, s.Note())
	noErr(t, s.Close())
	s, err = run.openSwappiness(h)
	noErr(t, err)
	noErr(t, s.Note())
	noErr(t, s.On())
	value("150")
	noErr(t, s.Close())

	// Killed, and nobody goes on.
	set("0")
	noErr(t, run.Release())
	report, err := h.clean(t.Context(), dir, CleanOptions{})
	if err != nil || len(report) != 1 || !strings.Contains(report[0], "vm.swappiness is 150 again") {
		t.Errorf("%q, %v", report, err)
	}
	value("150")
	empty(t, dir)
}

// Somebody's own 0 stays, for a Clean after a kill as well; and a record that cannot be written is tried again.
func TestSwappinessNote(t *testing.T) {
	h := kernel
	h.swappiness = filepath.Join(fixture(t, map[string]string{"swappiness": "60\n"}), "swappiness")
	dir := t.TempDir()
	run, err := NewRun(dir)
	noErr(t, err)
	s, err := run.openSwappiness(h)
	noErr(t, err)
	noErr(t, os.WriteFile(h.swappiness, []byte("0\n"), 0))
	blocked := recordPath(dir, run.ID()) + ".new"
	noErr(t, os.Mkdir(blocked, 0o700))
	if err := s.Note(); err == nil {
		t.Error("it could be written")
	}
	noErr(t, os.Remove(blocked))
	noErr(t, s.Note())
	noErr(t, s.Close())
	noErr(t, run.Release())
	report, err := h.clean(t.Context(), dir, CleanOptions{})
	if got := read(h.swappiness); err != nil || len(report) > 0 || got != "0" {
		t.Errorf("it is %q; %q, %v", got, report, err)
	}
	empty(t, dir)
}
