package compressor

import (
	"bytes"
	"syscall"
	"testing"
)

const canary = 0xA5

// A fence is memory between two pages that may not be touched: one byte read or written past its edge is a fault that
// ends the test program. Inside, bytes that were not handed out are canaries.
type fence struct {
	mem     []byte // between the two dead pages
	out     []byte // what was handed out last
	pattern []byte // canaries, as many as mem has bytes
}

func newFence(t testing.TB, size int) *fence {
	size = (size + 4095) &^ 4095
	all, err := syscall.Mmap(-1, 0, size+2*4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(all) })
	for _, dead := range [][]byte{all[:4096], all[4096+size:]} {
		if err := syscall.Mprotect(dead, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	f := &fence{mem: all[4096 : 4096+size], pattern: bytes.Repeat([]byte{canary}, size)}
	f.out = f.mem
	return f
}

// take hands out n bytes at the low or the high edge, canaries like the rest. The capacity is a lie: it reaches over the
// dead page, so that a callee that goes by cap instead of len meets the canaries, or the fault.
func (f *fence) take(n int, high bool) []byte {
	copy(f.out, f.pattern) // the rest still is what intact saw
	f.out = f.mem[:n]
	if high {
		f.out = f.mem[len(f.mem)-n:]
	}
	return f.out
}

// put is take with the bytes of p.
func (f *fence) put(p []byte, high bool) []byte {
	s := f.take(len(p), high)
	copy(s, p)
	return s
}

// intact checks the canaries on both sides of what was handed out.
func (f *fence) intact() bool {
	start := cap(f.mem) - cap(f.out)
	end := start + len(f.out)
	return bytes.Equal(f.mem[:start], f.pattern[:start]) && bytes.Equal(f.mem[end:], f.pattern[end:])
}
