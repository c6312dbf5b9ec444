package zsmalloc

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
)

// Handle names an object for its whole life. It is not an address: compaction moves objects.
// The zero Handle is never handed out.
type Handle uint32

// A handle word is live | run:32 | class:8 | index:11 | pin:1. The word of a free handle is the next free
// handle, shifted by one, with live and pin clear.
const (
	pinBit    = 1
	liveBit   = 1 << 63
	indexBits = 11
	classBits = 8
	runShift  = indexBits + classBits
)

const _ uint = 63 - 1 - (32 + classBits + indexBits) // it fits below the live bit, or it does not compile

// location is where an object is: a zspage's class and run, and the object's index in it.
type location uint64

func makeLocation(class uint8, run uint32, index int) location {
	return location(run)<<runShift | location(class)<<indexBits | location(index)
}

func (l location) class() uint8 { return uint8(l >> indexBits) }
func (l location) run() uint32  { return uint32(l >> runShift) }
func (l location) index() int   { return int(l & (1<<indexBits - 1)) }

// unpinned and pinned are the two words that say "the object is at l".
func (l location) unpinned() uint64 { return liveBit | uint64(l)<<1 }
func (l location) pinned() uint64   { return l.unpinned() | pinBit }

func locationOf(word uint64) location { return location(word &^ liveBit >> 1) }

// recordObj publishes where the object of a handle is, and whether it is pinned, in one store (the kernel's
// record_obj, as it is since January 2016). It never reads the old word: that of a recycled handle may hold
// anything. word comes from location.unpinned for a handle that nobody else knows yet, and from
// location.pinned for one that the caller has pinned: the pin stays, and only unpin ends it.
func recordObj(w *atomic.Uint64, word uint64) { w.Store(word) }

// tryPin pins the handle of w if its word is still old, which is not pinned.
func tryPin(w *atomic.Uint64, old uint64) bool {
	return old&pinBit == 0 && w.CompareAndSwap(old, old|pinBit)
}

// pin waits for the pin and returns the object's location, or false if the handle is not live.
func pin(w *atomic.Uint64) (location, bool) {
	for turn := 0; ; turn++ {
		old := w.Load()
		if old&liveBit == 0 {
			return 0, false
		}
		if tryPin(w, old) {
			return locationOf(old), true
		}
		backoff(turn)
	}
}

// unpin ends the caller's pin. It is a release: whoever pins next sees what the owner wrote.
func unpin(w *atomic.Uint64) { w.And(^uint64(pinBit)) }

// handles is the handle table. Words of allocated handles are their owners'.
type handles struct {
	a    *arena.Arena
	base int64  // of the table in the arena
	max  uint32 // handles 1..max exist

	fresh atomic.Uint32 // the first handle never handed out; written under mu

	reserved atomic.Bool   // words are committed by the reserve only
	ahead    atomic.Uint32 // those below are

	mu struct {
		sync.Mutex
		free  Handle // head of the free list, 0 for none
		inUse int
		freed uint64 // handles, since the start
	}
}

// word returns the word of a handle that was handed out at least once.
func (t *handles) word(h Handle) *atomic.Uint64 { return t.a.Word(t.base + int64(h)*8) }

// known reports whether h was ever handed out, so that its word is committed.
func (t *handles) known(h Handle) bool { return h != 0 && uint32(h) < t.fresh.Load() }

// alloc returns a handle whose word may hold anything, or ErrNoHandle, or ErrNoSpace, wrapped.
func (t *handles) alloc() (Handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.mu.free; h != 0 {
		if t.known(h) && t.word(h).Load()&liveBit == 0 {
			t.mu.free = Handle(t.word(h).Load() >> 1)
			t.mu.inUse++
			return h, nil
		}
		t.mu.free = 0 // damaged: whose handle is it? What is behind it is free again when the store is opened anew
	}
	h := Handle(t.fresh.Load())
	if uint32(h) > t.max {
		return 0, ErrNoHandle
	}
	if off := t.base + int64(h)*8; off%frameSize == 0 && uint32(h) >= t.ahead.Load() {
		if t.reserved.Load() {
			return 0, ErrReserve
		}
		if err := t.a.Commit(off, frameSize); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		step("handles: table grown")
	}
	t.fresh.Store(uint32(h) + 1)
	t.mu.inUse++
	return h, nil
}

// free ends the life of a handle, and the caller's pin with it. It returns how many it has freed so far.
func (t *handles) free(h Handle) (freed uint64) {
	t.mu.Lock()
	t.word(h).Store(uint64(t.mu.free) << 1)
	t.mu.free = h
	t.mu.inUse--
	t.mu.freed++
	freed = t.mu.freed
	t.mu.Unlock()
	return freed
}
