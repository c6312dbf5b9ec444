package arena

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

type address = unsafe.Pointer

func addressOf(mem []byte) address { return unsafe.Pointer(unsafe.SliceData(mem)) }

// numberOf is the address as a number.
func numberOf(mem []byte) int64 { return int64(uintptr(addressOf(mem))) }

// at returns the address of off; n bytes from there are in one chunk.
func (a *Arena) at(off, n int64) unsafe.Pointer {
	if off < 0 || n < 0 || off+n > a.size {
		a.outside(off, n)
	}
	if a.base != nil {
		return unsafe.Add(a.base, off)
	}
	c := a.heap.mustBeCommitted(off, max(n, 1))
	return unsafe.Add(unsafe.Pointer(&c.words), off%ChunkSize)
}

//go:noinline
func (a *Arena) outside(off, n int64) {
	panic(fmt.Sprintf("arena: [%#x, +%#x) outside an arena of %#x bytes", off, n, a.size))
}

// Bytes returns n committed bytes at off, within one chunk. The slice's capacity is its length.
func (a *Arena) Bytes(off, n int64) []byte {
	return unsafe.Slice((*byte)(a.at(off, n)), n)
}

// Word returns the 64-bit word at off, a multiple of 8, in committed memory.
func (a *Arena) Word(off int64) *atomic.Uint64 {
	return (*atomic.Uint64)(a.at(off, 8))
}

// At returns the value of type T at off, in committed memory and within one chunk. T holds no Go pointers, and
// off is aligned for it.
func At[T any](a *Arena, off int64) *T {
	var t T
	return (*T)(a.at(off, int64(unsafe.Sizeof(t))))
}
