package capture

import (
	"encoding/binary"
	"os"
	"path/filepath"
)

// shared tells apart the pages that several mappings have: after a fork, by the kernel's merging, and the zero page, which
// is everybody's and is never swapped.
type shared struct {
	seen  map[uint64]struct{} // frames
	flags *os.File            // /proc/kpageflags; nil: the kernel does not let us
}

func newShared() *shared {
	f, err := os.Open(filepath.Join(procRoot, "kpageflags"))
	if err != nil {
		f = nil
	}
	return &shared{seen: map[uint64]struct{}{}, flags: f}
}

func (s *shared) close() {
	if s.flags != nil {
		s.flags.Close()
	}
}

const zeroPage = 1 << 24 // KPF_ZERO_PAGE

// first reports whether the frame is to be counted: it is not the zero page, and did not come before.
func (s *shared) first(frame uint64) bool {
	if frame == 0 {
		return true // not told: better twice than not at all
	}
	if _, ok := s.seen[frame]; ok {
		return false
	}
	var word [8]byte
	if s.flags != nil {
		if _, err := s.flags.ReadAt(word[:], int64(frame*8)); err == nil && binary.LittleEndian.Uint64(word[:])&zeroPage != 0 {
			return false
		}
	}
	s.seen[frame] = struct{}{}
	return true
}
