package backing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// note is what was written in the last 24 hours, as a small text file: the state does not outlive the machine, nor a regular stop,
// and a disk wears all the same. A line for each hour of the day, all of one length, so that it is written over in place.
type note struct {
	mu    sync.Mutex
	path  string   // "": none
	f     *os.File // nil: not opened yet
	at    time.Time
	saved uint64 // bytes written since the file was made, when it was last saved
	ended bool
	err   error // of the last time
}

const (
	noteHead = "zswapd: KiB written to writeback.file, by the hour since 1970, for writeback.limit_per_day\n"
	noteLine = "%10d %14d\n"
)

// SaveEvery is how often SaveDay writes at most: what is written in this time before a crash of the machine is forgotten.
const SaveEvery = time.Minute

// readNote takes the note of a service before ours into the state: for each hour the larger of the two. What cannot be read as one
// counts as nothing.
func (f *File) readNote() error {
	b, err := os.ReadFile(f.note.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := uint64(f.now().Unix() / 3600)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var hour, kib uint64
		if _, err := fmt.Sscanf(lines.Text()+"\n", noteLine, &hour, &kib); err != nil || !inDay(hour, now) || kib>>hourShift != 0 {
			continue
		}
		at := f.state.word(wordDay + int(hour%dayHours))
		if w := at.Load(); !inDay(w>>hourShift, now) || w>>hourShift == hour && w&(1<<hourShift-1) < kib {
			at.Store(hour<<hourShift | kib)
		}
	}
	return nil
}

// SaveDay writes the note, if there is to be one, something was written since, and the last time is a minute ago; it waits for the
// disk. It may be called concurrently with everything, Close included.
func (f *File) SaveDay() { f.saveNote(false) }

func (f *File) saveNote(always bool) {
	n := &f.note
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.path == "" || n.ended { // then the state may be gone, too
		return
	}
	now, written := f.now(), f.state.word(wordWritten).Load()
	past := now.Sub(n.at)
	if !always && (written == n.saved && n.err == nil || past >= 0 && past < SaveEvery) {
		return
	}
	n.at, n.saved, n.err = now, written, nil
	if n.f == nil {
		if n.f, n.err = os.OpenFile(n.path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_DSYNC, 0o600); n.err != nil {
			n.f = nil
			return
		}
	}
	b := []byte(noteHead)
	for i := range dayHours {
		w := f.state.word(wordDay + i).Load()
		b = fmt.Appendf(b, noteLine, w>>hourShift, w&(1<<hourShift-1))
	}
	_, n.err = n.f.WriteAt(b, 0)
}

// endNote writes the note for the last time.
func (f *File) endNote() {
	f.saveNote(true)
	n := &f.note
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.f != nil {
		n.err = errors.Join(n.err, n.f.Close())
		n.f = nil
	}
}

// NoteErr is why the note could not be read or written when that was last tried.
func (f *File) NoteErr() error {
	f.note.mu.Lock()
	defer f.note.mu.Unlock()
	return f.note.err
}
