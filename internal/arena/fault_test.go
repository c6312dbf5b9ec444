package arena

import (
	"bytes"
	"errors"
	"testing"
)

// A call of the system that fails changes neither what is committed nor what is counted, half-done commits included.
func TestFailedCallsChangeNothing(t *testing.T) {
	broken, failing := errors.New("broken"), map[Op]bool{}
	undo := SetFault(func(op Op, _, _ int64) error {
		if failing[op] {
			failing[op] = op != OpCommit // once: what a failed commit has done must be undone
			return broken
		}
		return nil
	})
	defer undo()
	eachKind(t, func(t *testing.T, open func(size, limit int64) *Arena) {
		a := open(4<<20, 1<<20)
		expect := func(what string, err error, frames int64) {
			t.Helper()
			clear(failing)
			var there int64
			must(t, a.Resident(0, a.Size(), func(_, n int64) { there += n }))
			if !errors.Is(err, broken) || there != frames*FrameSize || a.Budget().Used() != there {
				t.Errorf("%s: %v; %d bytes resident, %d counted, want %d frames", what, err, there, a.Budget().Used(), frames)
			}
		}
		failing[OpCommit] = true
		expect("commit", a.Commit(0, 8*FrameSize), 0)
		must(t, a.Commit(0, 8*FrameSize))
		if !bytes.Equal(a.Bytes(0, 8*FrameSize), make([]byte, 8*FrameSize)) {
			t.Error("not zeros after a commit that failed")
		}
		copy(a.Bytes(FrameSize, 5), "hello")
		failing[OpRelease] = true
		expect("release", a.Release(FrameSize, FrameSize), 8)
		failing[OpRelease] = true
		expect("discard", a.Discard(0, 4<<20), 8)
		failing[OpResident] = true
		expect("resident", a.Discard(0, 4<<20), 8)
		if string(a.Bytes(FrameSize, 5)) != "hello" {
			t.Error("what could not be released has changed")
		}
		must(t, a.Discard(0, 4<<20))
	})
}
