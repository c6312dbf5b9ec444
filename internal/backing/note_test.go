package backing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The limit of a day holds over a stop and a reboot, where nothing is left but the note: after a stop to the byte, after a crash but
// for the last minute.
func TestNote(t *testing.T) {
	r, path := newRand(t), filepath.Join(t.TempDir(), "today")
	o := Options{Bytes: 32 * ExtentBytes, Limits: Limits{DayBytes: 6 * ExtentBytes, Note: path}}
	boot := func() *owner { return newOwner(t, o) }
	write := func(w *owner, bytes int64) int64 {
		t.Helper()
		before := w.f.Stats().DayBytes
		_, err := w.write(r, bytes)
		noErr(t, err)
		return w.f.Stats().DayBytes - before
	}
	w := boot()
	noErr(t, w.f.NoteErr())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("not tried at once: %v", err)
	}
	sum := write(w, ExtentBytes)
	now := w.f.note.at // when it was tried: how long ago that is is up to the machine
	w.f.now = func() time.Time { return now }
	now = now.Add(SaveEvery - time.Second)
	w.f.SaveDay()
	if day := boot().f.Stats().DayBytes; day != 0 {
		t.Errorf("%d bytes, saved before a minute has passed", day)
	}
	now = now.Add(2 * time.Second)
	w.f.SaveDay()
	if day := boot().f.Stats().DayBytes; day != sum { // the machine has crashed
		t.Errorf("%d bytes after a crash, %d were written", day, sum)
	}
	sum += write(w, 2*ExtentBytes)
	noErr(t, w.f.Close()) // and was stopped
	if b := boot(); b.f.Stats().DayBytes != sum {
		t.Errorf("%d bytes after a stop, %d were written", b.f.Stats().DayBytes, sum)
	} else if sum += write(b, 4*ExtentBytes); sum > o.DayBytes || sum < o.DayBytes-2*minAllowance {
		t.Errorf("%d bytes in all, of %d that may be", sum, o.DayBytes)
	} else {
		noErr(t, b.f.Close())
		noErr(t, b.f.state.end())
		b.has, b.f = map[Place]*thing{}, remade(t, b)
	}
	if b, err := boot().f.Begin(ExtentBytes, false); err == nil {
		b.Drop()
		t.Error("more than a day's bytes may be written after three stops")
	} else if !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	clear(w.has)
	noErr(t, w.f.state.end())
	w.f = remade(t, w)
	if day := w.f.Stats().DayBytes; day != sum { // it had less in its own state
		t.Errorf("%d bytes where less was known, %d were written", day, sum)
	}
	b, err := os.ReadFile(path)
	if noErr(t, err); strings.Count(string(b), "\n") != 1+dayHours || !strings.HasPrefix(string(b), noteHead) {
		t.Errorf("the note:\n%s", b)
	}
}

// remade returns a new file for an owner whose old one has ended.
func remade(t *testing.T, w *owner) *File {
	t.Helper()
	file, err := Create(w.path)
	noErr(t, err)
	f, err := New(w.a, 0, file, w.o)
	noErr(t, err)
	return f
}

// A note that is none, that has hours of another day, or that cannot be had, is no reason not to write.
func TestNoteThatIsNone(t *testing.T) {
	dir, hour := t.TempDir(), time.Now().Unix()/3600
	for name, c := range map[string]struct {
		text string
		want int64 // KiB
	}{
		"empty": {"", 0}, "noise": {string(noise[:3000]), 0}, "cut": {noteHead + fmt.Sprintf(noteLine, hour, 1234)[:14], 0},
		"old": {noteHead + fmt.Sprintf(noteLine, hour-24, 1234), 0}, "far ahead": {noteHead + fmt.Sprintf(noteLine, hour+24, 1234), 0},
		"today's":  {noteHead + fmt.Sprintf(noteLine+noteLine, hour-1, 1234, hour-5, 66), 1300},
		"too much": {noteHead + fmt.Sprintf(noteLine, hour, int64(1)<<hourShift), 0},
	} {
		path := filepath.Join(dir, name)
		noErr(t, os.WriteFile(path, []byte(c.text), 0o600))
		w := newOwner(t, Options{Limits: Limits{Note: path}})
		if day := w.f.Stats().DayBytes; day != c.want*1024 || w.f.NoteErr() != nil {
			t.Errorf("%s: %d bytes, want %d KiB; %v", name, day, c.want, w.f.NoteErr())
		}
	}
	w := newOwner(t, Options{Limits: Limits{Note: filepath.Join(dir, "no folder", "today")}})
	if w.f.NoteErr() == nil {
		t.Error("a note without a folder is no error")
	}
	_, err := w.write(newRand(t), ExtentBytes)
	noErr(t, err)
}
