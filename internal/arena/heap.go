package arena

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// heap is an arena in Go memory, which the race detector watches. Its chunks are made when first committed and
// never given back before Close; released frames are wiped.
type heap struct {
	chunks []atomic.Pointer[chunk]
	mu     sync.Mutex // guards the making of chunks
}

type chunk struct {
	words     [ChunkSize / 8]uint64 // words, for their alignment
	committed [ChunkSize / FrameSize]atomic.Bool
}

func newHeap(size int64, budget *Budget) *Arena {
	size = roundUp(size, ChunkSize)
	h := &heap{chunks: make([]atomic.Pointer[chunk], size/ChunkSize)}
	return &Arena{budget: budget, size: size, heap: h, memory: wrap(h), counted: true}
}

// each calls visit for every frame of a range.
func (h *heap) each(off, n int64, visit func(c *chunk, frame int64)) {
	for ; n > 0; off, n = off+FrameSize, n-FrameSize {
		visit(h.chunks[off/ChunkSize].Load(), off%ChunkSize/FrameSize)
	}
}

func (h *heap) commit(off, n int64) error {
	h.mu.Lock()
	for i := off / ChunkSize; i <= (off+n-1)/ChunkSize; i++ {
		if h.chunks[i].Load() == nil {
			h.chunks[i].Store(new(chunk))
		}
	}
	h.mu.Unlock()
	h.each(off, n, func(c *chunk, frame int64) {
		if c.committed[frame].Swap(true) {
			panic(fmt.Sprintf("arena: frame committed twice, in [%#x, +%#x)", off, n))
		}
	})
	return nil
}

func (h *heap) release(off, n int64) error {
	h.each(off, n, func(c *chunk, frame int64) {
		if c != nil && c.committed[frame].Swap(false) {
			clear(c.words[frame*FrameSize/8 : (frame+1)*FrameSize/8])
		}
	})
	return nil
}

func (h *heap) resident(off, n int64, visit func(off, n int64)) error {
	start, length := off, int64(0)
	for end := off + n; off < end; {
		c := h.chunks[off/ChunkSize].Load()
		step := int64(FrameSize)
		if c == nil {
			step = ChunkSize - off%ChunkSize // a chunk that was never made
		}
		if c != nil && c.committed[off%ChunkSize/FrameSize].Load() {
			length += step
		} else {
			if length > 0 {
				visit(start, length)
			}
			start, length = off+step, 0
		}
		off += step
	}
	if length > 0 {
		visit(start, length)
	}
	return nil
}

// mustBeCommitted panics where the mapped arena would fault in memory that nobody counted.
func (h *heap) mustBeCommitted(off, n int64) *chunk {
	c := h.chunks[off/ChunkSize].Load()
	for f := off % ChunkSize / FrameSize; f <= (off%ChunkSize+n-1)/FrameSize; f++ {
		if c == nil || !c.committed[f].Load() {
			panic(fmt.Sprintf("arena: touch of [%#x, +%#x), which is not committed", off, n))
		}
	}
	return c
}

func (h *heap) mapTables() error { return nil } // it has none of its own

func (h *heap) file() *os.File { return nil }

func (h *heap) close() error { h.chunks = nil; return nil }
