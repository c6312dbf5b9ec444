package zpool

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

// Pages that the limit has room for, but the system no memory, stay in the backing file: the refusal says which of the two it was,
// nothing is lost, the file stays in use, and later they come back. However often it is asked, that takes no more workers.
func TestRemoveBackingWithoutMemory(t *testing.T) {
	var short atomic.Bool
	undo := arena.SetFault(func(op arena.Op, _, _ int64) error {
		if op == arena.OpCommit && short.Load() {
			return unix.ENOMEM
		}
		return nil
	})
	defer undo()
	b := newBacked(t, Options{})
	for slot := range uint64(1000) {
		b.store(slot, slot<<12|2<<8)
	}
	b.p.Tick()
	packAll(t, b.p)
	writeAll(t, b.p)
	b.p.zs.Trim()
	workers := len(b.p.mu.workers)
	short.Store(true)
	for range 3 {
		before := b.p.Stats().WrittenPages
		err := b.p.RemoveBacking(false)
		room := (*RoomError)(nil)
		if !errors.As(err, &room) || !errors.Is(err, ErrNoMemory) || errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "no memory") {
			t.Fatalf("%v", err)
		}
		if n := b.p.Stats().WrittenPages; n == 0 || n > before || room.Pages != n || room.Room < 1<<20 || b.p.Backing() == nil {
			t.Fatalf("%d pages are in the file, %d were; %v", n, before, err)
		}
		noErr(t, b.p.Check())
		b.verify()
	}
	short.Store(false)
	noErr(t, b.p.RemoveBacking(false))
	for range 3 {
		noErr(t, b.p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
		b.p.Tick()
		writeAll(t, b.p)
		noErr(t, b.p.RemoveBacking(false))
	}
	b.verify()
	if n := len(b.p.mu.workers); n != workers {
		t.Errorf("%d workers, there were %d", n, workers)
	}
}

// What was written today counts for the pool after this one, of another store and another file.
func TestNoteOutlivesThePool(t *testing.T) {
	o := BackingOptions{Path: shm(t), Bytes: testBacking, DayBytes: 1 << 30, Note: filepath.Join(t.TempDir(), "today")}
	wrote := int64(0)
	for i := range 3 {
		p := newTestPool(t, Options{}.forTests())
		noErr(t, p.AddBacking(o))
		b := &backed{t, p, p.NewWorker(), map[uint64]uint64{}}
		if n := p.Stats().Backing.DayBytes; n != wrote || p.BackingNoteErr() != nil {
			t.Fatalf("pool %d: %d bytes, want %d; %v", i, n, wrote, p.BackingNoteErr())
		}
		for slot := range uint64(500) {
			b.store(slot, slot<<12|2<<8)
		}
		p.Tick()
		if did := writeAll(t, p); did.Pages != 500 {
			t.Fatalf("%+v", did)
		}
		if n := p.Stats().Backing.DayBytes; n <= wrote {
			t.Fatalf("pool %d: %d bytes after writing, %d before", i, n, wrote)
		} else {
			wrote = n
		}
		noErr(t, p.DropBacking())
	}
}
