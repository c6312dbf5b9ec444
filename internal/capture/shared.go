package capture

import (
	"encoding/binary"
	"os"
	"path/filepath"
)

// shared tells apart the pages that several mappings have: after a fork, by the kernel's merging, and the zero page, which
// is everybody's and is never swapped.
type shared struct {
	seen, again numbers  // frames that came once, and more than once
	out         numbers  // places of swapped pages
	repeated    int64    // frames in again
	flags       *os.File // /proc/kpageflags; nil: the kernel does not let us
}

// numbers is a set of them, of which neighbours are many.
type numbers map[uint64]*[64]uint64 // by number / 4096

// add reports whether the number was not there.
func (s numbers) add(n uint64) bool {
	part := s[n/4096]
	if part == nil {
		part = new([64]uint64)
		s[n/4096] = part
	}
	word, bit := &part[n/64%64], uint64(1)<<(n%64)
	isNew := *word&bit == 0
	*word |= bit
	return isNew
}

func newShared() *shared {
	f, err := os.Open(filepath.Join(procRoot, "kpageflags"))
	if err != nil {
		f = nil
	}
	return &shared{seen: numbers{}, again: numbers{}, out: numbers{}, flags: f}
}

func (s *shared) close() {
	if s.flags != nil {
		s.flags.Close()
	}
}

const zeroPage = 1 << 24 // KPF_ZERO_PAGE

// sight is what a frame is among those that came before.
type sight int

const (
	fresh sight = iota // came for the first time
	old                // came before
	zero               // the zero page
)

// look says what the frame of an anonymous page is.
func (s *shared) look(e entry) sight {
	frame := e.frame()
	if e&exclusive != 0 || frame == 0 { // not told: better twice than not at all
		return fresh
	}
	if s.isZero(frame) {
		return zero
	}
	if s.seen.add(frame) {
		return fresh
	}
	if s.again.add(frame) {
		s.repeated++
	}
	return old
}

func (s *shared) isZero(frame uint64) bool {
	if s.flags == nil {
		return false
	}
	var word [8]byte
	_, err := s.flags.ReadAt(word[:], int64(frame*8))
	return err == nil && binary.LittleEndian.Uint64(word[:])&zeroPage != 0
}

// firstOut reports whether a swapped page did not come before.
func (s *shared) firstOut(e entry) bool { return e.place() == 0 || s.out.add(e.place()) }
