package guard

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Ballast is memory that is thrown off when the system has none: from then on there is so much that only real-time threads, and
// those that make memory free, are let take, for all others wait until there is more (the min watermark). It is for one goroutine.
type Ballast struct{ memory []byte }

// NewBallast takes bytes, a multiple of 4096, and faults them in.
func NewBallast(bytes int) (*Ballast, error) {
	memory, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("ballast of %d bytes: %w", bytes, err)
	}
	if err := unix.Madvise(memory, unix.MADV_POPULATE_WRITE); err != nil {
		_ = unix.Munmap(memory)
		return nil, fmt.Errorf("ballast of %d bytes: %w", bytes, err)
	}
	return &Ballast{memory}, nil
}

// Drop throws it off. A second call does nothing, nor does one without ballast.
func (b *Ballast) Drop() {
	if b != nil && b.memory != nil {
		_ = unix.Munmap(b.memory) // it is ours, and whole
		b.memory = nil
	}
}
