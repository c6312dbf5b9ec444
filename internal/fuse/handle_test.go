package fuse

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

const testPages = 1024

// newTestHandler is a handler without a kernel.
func newTestHandler(store Store) *handler {
	return &handler{server: &Server{cfg: Config{Pages: testPages}}, store: store, buf: make([]byte, bufferBytes)}
}

// frame makes the bytes of a request. Numbers in the body are written as they are typed; bytes are copied.
func frame(op opcode, unique, node uint64, body ...any) []byte {
	b := make([]byte, inHeaderBytes)
	native.PutUint32(b[4:], uint32(op))
	native.PutUint64(b[8:], unique)
	native.PutUint64(b[16:], node)
	for _, v := range body {
		switch v := v.(type) {
		case uint32:
			b = native.AppendUint32(b, v)
		case uint64:
			b = native.AppendUint64(b, v)
		case string:
			b = append(append(b, v...), 0)
		case []byte:
			b = append(b, v...)
		}
	}
	native.PutUint32(b, uint32(len(b)))
	return b
}

func ioFrame(op opcode, unique, offset uint64, size int, data []byte) []byte {
	return frame(op, unique, fileNode, uint64(0), offset, uint32(size), uint32(0), uint64(0), uint32(0), uint32(0), data)
}

func fallocFrame(unique, offset, size uint64, mode uint32) []byte {
	return frame(opFallocate, unique, fileNode, uint64(0), offset, size, mode, uint32(0))
}

// feed gives the handler a request as read(2) would.
func (h *handler) feed(b []byte) []byte { return h.handle(copy(h.buf[requestAt:], b)) }

// answer splits a reply, which must be of one piece.
func answer(t *testing.T, reply []byte, unique uint64) (unix.Errno, []byte) {
	t.Helper()
	if len(reply) < outHeaderBytes || int(native.Uint32(reply)) != len(reply) || native.Uint64(reply[8:]) != unique {
		t.Fatalf("not a reply to %#x: % x", unique, reply[:min(len(reply), outHeaderBytes)])
	}
	return unix.Errno(-int32(native.Uint32(reply[4:]))), reply[outHeaderBytes:]
}

func TestHandleErrors(t *testing.T) {
	broken := newMemory()
	broken.load = func(uint64) error { return errors.New("no") }
	broken.store = func(uint64) error { return errors.New("no") }
	page := make([]byte, pageBytes)
	const all = testPages * pageBytes
	for _, c := range []struct {
		name    string
		request []byte
		want    unix.Errno
	}{
		{"load error", ioFrame(opRead, 2, 0, pageBytes, nil), unix.EIO},
		{"store error", ioFrame(opWrite, 2, 0, pageBytes, page), unix.EIO},
		{"read: offset", ioFrame(opRead, 2, 512, pageBytes, nil), unix.EINVAL},
		{"read: size", ioFrame(opRead, 2, 0, 512, nil), unix.EINVAL},
		{"read: over the end", ioFrame(opRead, 2, all-pageBytes, 2*pageBytes, nil), unix.EINVAL},
		{"read: past the end", ioFrame(opRead, 2, all, pageBytes, nil), 0},
		{"read: too large", ioFrame(opRead, 2, 0, maxBytes+pageBytes, nil), unix.EIO},
		{"read: far past the end", ioFrame(opRead, 2, 1<<63, pageBytes, nil), 0},
		{"write: offset", ioFrame(opWrite, 2, 1, pageBytes, page), unix.EINVAL},
		{"write: size", ioFrame(opWrite, 2, 0, 100, page[:100]), unix.EINVAL},
		{"write: past the end", ioFrame(opWrite, 2, all, pageBytes, page), unix.EFBIG},
		{"write: less data than size", ioFrame(opWrite, 2, 0, 2*pageBytes, page), unix.EIO},
		{"write: more data than size", ioFrame(opWrite, 2, 0, 0, page), unix.EIO},
		{"write: truncated", frame(opWrite, 2, fileNode, uint64(0)), unix.EIO},
		{"read: on the directory", frame(opRead, 2, rootNode, make([]byte, ioInBytes)), unix.EIO},
		{"fallocate: allocate", fallocFrame(2, 0, pageBytes, 0), unix.EOPNOTSUPP},
		{"fallocate: collapse", fallocFrame(2, 0, pageBytes, 8), unix.EOPNOTSUPP},
		{"fallocate: part of a page", fallocFrame(2, 0, 100, fallocPunchHole|fallocKeepSize), unix.EINVAL},
		{"fallocate: truncated", frame(opFallocate, 2, fileNode, uint64(0)), unix.EIO},
		{"truncate", frame(opSetattr, 2, fileNode, make([]byte, 88)), unix.EPERM},
		{"lookup: another name", frame(opLookup, 2, rootNode, "page"), unix.ENOENT},
		{"lookup: in the file", frame(opLookup, 2, fileNode, fileName), unix.ENOENT},
		{"lookup: no final zero", frame(opLookup, 2, rootNode, []byte("pages")), 0},
		{"getattr: no such node", frame(opGetattr, 2, 3, make([]byte, 16)), unix.ENOENT},
		{"open the directory", frame(opOpen, 2, rootNode, uint64(0)), unix.EISDIR},
		{"init: too old", frame(opInit, 2, 0, uint32(7), uint32(35), uint32(0), uint32(0)), unix.EPROTO},
		{"init: truncated", frame(opInit, 2, 0, uint32(7)), unix.EIO},
		{"fsync", frame(20, 2, fileNode, make([]byte, 16)), unix.ENOSYS},
		{"no such operation", frame(4711, 2, fileNode), unix.ENOSYS},
		{"release", frame(opRelease, 2, fileNode, make([]byte, 24)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHandler(broken)
			errno, body := answer(t, h.feed(c.request), 2)
			if errno != c.want || (errno != 0 && len(body) != 0) {
				t.Fatalf("%v with %d bytes, want %v", errno, len(body), c.want)
			}
		})
	}
}

func TestHandleKeepsTheResendMark(t *testing.T) {
	h := newTestHandler(newMemory())
	for _, unique := range []uint64{42, 1<<63 | 42} {
		if errno, body := answer(t, h.feed(ioFrame(opRead, unique, 0, pageBytes, nil)), unique); errno != 0 || len(body) != pageBytes {
			t.Fatalf("%v, %d bytes", errno, len(body))
		}
	}
	if n := h.server.Stats().Resent; n != 1 {
		t.Errorf("%d requests came again, want 1", n)
	}
}

func TestHandleNoReply(t *testing.T) {
	h := newTestHandler(newMemory())
	for _, b := range [][]byte{
		frame(opForget, 2, fileNode, uint64(1)),
		frame(opBatchForget, 2, 0, uint32(0), uint32(0)),
		make([]byte, 8),               // no header
		frame(opGetattr, 0, fileNode), // a reply to 0 would be a notification
	} {
		if reply := h.feed(b); reply != nil {
			t.Errorf("reply to % x: % x", b, reply)
		}
	}
}

func TestHandleReadWrite(t *testing.T) {
	store := newMemory()
	h := newTestHandler(store)
	for _, n := range []int{1, 2, 31, 256} {
		src := make([]byte, n*pageBytes)
		fill(src, uint64(n), 1)
		errno, body := answer(t, h.feed(ioFrame(opWrite, 8, 5*pageBytes, len(src), src)), 8)
		if errno != 0 || len(body) != 8 || int(native.Uint32(body)) != len(src) {
			t.Fatalf("write of %d pages: %v, % x", n, errno, body)
		}
		if errno, body = answer(t, h.feed(ioFrame(opRead, 9, 5*pageBytes, len(src), nil)), 9); errno != 0 || !bytes.Equal(body, src) {
			t.Fatalf("read of %d pages: %v, %d bytes", n, errno, len(body))
		}
	}
	for _, mode := range []uint32{fallocPunchHole | fallocKeepSize, fallocZeroRange, fallocZeroRange | fallocKeepSize} {
		before := store.len()
		if errno, _ := answer(t, h.feed(fallocFrame(4, 6*pageBytes, 2*pageBytes, mode)), 4); errno != 0 {
			t.Fatalf("fallocate mode %#x: %v", mode, errno)
		}
		if mode&fallocPunchHole != 0 && store.len() != before-2 {
			t.Fatalf("%d pages, want %d", store.len(), before-2)
		}
	}
	if errno, _ := answer(t, h.feed(fallocFrame(4, 0, 1<<62, fallocPunchHole|fallocKeepSize)), 4); errno != 0 || store.len() != 0 {
		t.Fatalf("punch over the end: %v, %d pages left", errno, store.len())
	}
}

func TestInitNegotiates(t *testing.T) {
	h := newTestHandler(newMemory())
	kernel := uint64(initWanted&^initHasResend | 1<<40 | 1<<16) // it knows other things and cannot resend
	init := frame(opInit, 2, 0, uint32(7), uint32(45), uint32(1<<17), uint32(kernel), uint32(kernel>>32), make([]byte, 44))
	errno, body := answer(t, h.feed(init), 2)
	if errno != 0 || len(body) != initOutBytes {
		t.Fatalf("%v, %d bytes", errno, len(body))
	}
	flags := uint64(native.Uint32(body[12:])) | uint64(native.Uint32(body[32:]))<<32
	if flags != initWanted&^initHasResend || h.server.flags.Load() != flags {
		t.Errorf("flags %#x", flags)
	}
	if size := native.Uint32(body[20:]); size != maxBytes || native.Uint16(body[28:]) != maxPages {
		t.Errorf("%d bytes, %d pages in a request", size, native.Uint16(body[28:]))
	}
}

// nothing is a Store that does nothing.
type nothing struct{}

func (nothing) Load(uint64, []byte) error       { return nil }
func (nothing) Store(uint64, []byte) error      { return nil }
func (nothing) Invalidate(uint64, uint64) error { return nil }

func TestHandleDoesNotAllocate(t *testing.T) {
	h := newTestHandler(nothing{})
	h.server.patience = newPatience(h.server, nil)
	defer h.server.patience.close()
	for name, b := range map[string][]byte{
		"read":    ioFrame(opRead, 2, 0, 32*pageBytes, nil),
		"write":   ioFrame(opWrite, 2, 0, 32*pageBytes, make([]byte, 32*pageBytes)),
		"discard": fallocFrame(2, 0, 32*pageBytes, fallocPunchHole|fallocKeepSize),
		"lookup":  frame(opLookup, 2, rootNode, fileName),
		"unknown": frame(4711, 2, fileNode),
	} {
		if n := testing.AllocsPerRun(100, func() {
			h.server.patience.traffic()
			h.feed(b)
			h.observe(1)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	for name, f := range map[string][]byte{
		"op=read/pages=1":  ioFrame(opRead, 2, 0, pageBytes, nil),
		"op=write/pages=1": ioFrame(opWrite, 2, 0, pageBytes, make([]byte, pageBytes)),
	} {
		b.Run(name, func(b *testing.B) {
			h := newTestHandler(nothing{})
			n := copy(h.buf[requestAt:], f)
			b.ReportAllocs()
			for b.Loop() {
				copy(h.buf[requestAt:], f[:maxHeadBytes]) // a reply overwrites the request's header
				h.handle(n)
			}
		})
	}
}

// refuser has no room, or something else that is wrong with it.
type refuser struct{ err error }

func (r refuser) Load(uint64, []byte) error       { return r.err }
func (r refuser) Store(uint64, []byte) error      { return r.err }
func (r refuser) Invalidate(uint64, uint64) error { return r.err }

// A page that there is no room for is no error; each request that ends in one is counted, whatever is wrong with it.
func TestErrorsAreCounted(t *testing.T) {
	full := errors.New("full")
	for _, c := range []struct {
		err           error
		errors, times uint64
	}{{full, 0, 3}, {errors.New("broken"), 3, 0}} {
		h := newTestHandler(refuser{c.err})
		h.server.cfg.Refusals = []error{full}
		for i := range uint64(3) {
			h.feed(ioFrame(opWrite, fileNode, i*pageBytes, pageBytes, make([]byte, pageBytes)))
		}
		if s := h.server.Stats(); s.Errors() != c.errors || s.RefusedWrites != c.times {
			t.Errorf("%v: %d errors, %d refused", c.err, s.Errors(), s.RefusedWrites)
		}
	}
	h := newTestHandler(nil) // which is a bug
	h.server.broken = make(chan error, 1)
	for i, b := range [][]byte{
		ioFrame(opRead, fileNode, 0, pageBytes, nil), ioFrame(opRead, fileNode, 512, pageBytes, nil),
		ioFrame(opWrite, fileNode, 512, pageBytes, make([]byte, pageBytes)), ioFrame(opWrite, 1, 0, pageBytes, make([]byte, pageBytes)),
	} {
		h.handleOrFail(copy(h.buf[requestAt:], b))
		if s := h.server.Stats(); s.Errors() != uint64(i)+1 {
			t.Errorf("request %d: %d errors", i, s.Errors())
		}
	}
}
