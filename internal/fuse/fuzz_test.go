package fuse

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// strict is a Store that panics at what a Store must never be asked.
type strict struct{}

func (strict) check(first uint64, b []byte) error {
	if n := uint64(len(b)); n == 0 || n%pageBytes != 0 || n > maxBytes || cap(b) != len(b) || first+n/pageBytes > testPages {
		panic(fmt.Sprintf("%d bytes, cap %d, at page %d", len(b), cap(b), first))
	}
	return nil
}

func (s strict) Load(first uint64, dst []byte) error  { return s.check(first, dst) }
func (s strict) Store(first uint64, src []byte) error { return s.check(first, src) }
func (s strict) Invalidate(first, n uint64) error {
	if n == 0 || n > testPages || first > testPages-n {
		panic(fmt.Sprintf("%d pages at page %d", n, first))
	}
	return nil
}

// FuzzRequest feeds any bytes as one request: no panic, no call out of bounds, and a reply of one piece to the
// request that was asked, complete or an error.
func FuzzRequest(f *testing.F) {
	h := newTestHandler(strict{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), bufferBytes-requestAt)]
		reply := h.feed(b)
		if reply == nil {
			return
		}
		errno, body := answer(t, reply, native.Uint64(b[8:]))
		if errno >= 4096 || (errno != 0 && len(body) > 0) {
			t.Fatalf("error %d with %d bytes", errno, len(body))
		}
		r := &h.req
		switch {
		case errno == unix.ENOSYS || errno != 0:
		case r.op == opRead && uint64(len(body)) != r.size && r.offset < testPages*pageBytes:
			t.Fatalf("READ of %d bytes answered with %d", r.size, len(body))
		case r.op == opWrite && uint64(native.Uint32(body)) != r.size:
			t.Fatalf("WRITE of %d bytes answered with %d", r.size, native.Uint32(body))
		}
	})
}
