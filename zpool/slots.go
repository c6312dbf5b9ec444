package zpool

import (
	"sync"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
)

// slots is the slot table. Its frames are committed when a page is first stored in one of their slots.
type slots struct {
	a    *arena.Arena
	base int64  // of the table in the arena
	n    uint64 // slots

	mu    sync.Mutex      // held to commit a frame
	there []atomic.Uint64 // bitmap of committed frames
}

const slotsPerFrame = arena.FrameSize / 8

func newSlots(a *arena.Arena, base int64, n uint64) *slots {
	frames := (n + slotsPerFrame - 1) / slotsPerFrame
	return &slots{a: a, base: base, n: n, there: make([]atomic.Uint64, (frames+63)/64)}
}

func (s *slots) committed(slot uint64) bool {
	frame := slot / slotsPerFrame
	return s.there[frame/64].Load()&(1<<(frame%64)) != 0
}

// word returns the word of a slot in a committed frame.
func (s *slots) word(slot uint64) *atomic.Uint64 { return s.a.Word(s.base + int64(slot)*8) }

// window returns the words of a window, whose frame is committed. Those beyond the last slot are 0.
func (s *slots) window(first uint64) *[windowSlots]atomic.Uint64 {
	return arena.At[[windowSlots]atomic.Uint64](s.a, s.base+int64(first)*8)
}

// commit makes the word of a slot usable.
func (s *slots) commit(slot uint64) error {
	if s.committed(slot) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed(slot) {
		return nil
	}
	frame := slot / slotsPerFrame
	if err := s.a.Commit(s.base+int64(frame)*arena.FrameSize, arena.FrameSize); err != nil {
		return err
	}
	step("slots: table grown")
	s.there[frame/64].Or(1 << (frame % 64))
	return nil
}

// commitAll makes all words usable.
func (s *slots) commitAll() error {
	for slot := uint64(0); slot < s.n; slot = s.nextFrame(slot) {
		if err := s.commit(slot); err != nil {
			return err
		}
	}
	return nil
}

// adopt notes which frames of the table are there already.
func (s *slots) adopt(there []arena.Extent) {
	frames := int64(s.n+slotsPerFrame-1) / slotsPerFrame
	for _, e := range there {
		for off := max(e.Off, s.base); off < min(e.End, s.base+frames*arena.FrameSize); off += arena.FrameSize {
			frame := (off - s.base) / arena.FrameSize
			s.there[frame/64].Or(1 << (frame % 64))
		}
	}
}

// each calls visit for every slot with a committed word, in order, until it returns false.
func (s *slots) each(visit func(slot uint64, w *atomic.Uint64) bool) {
	for slot := uint64(0); slot < s.n; {
		if !s.committed(slot) {
			slot = s.nextFrame(slot)
			continue
		}
		if !visit(slot, s.word(slot)) {
			return
		}
		slot++
	}
}

// nextFrame returns the first slot of the next frame of the table.
func (s *slots) nextFrame(slot uint64) uint64 { return (slot/slotsPerFrame + 1) * slotsPerFrame }
