package fuse

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const uringSetting = "/sys/module/fuse/parameters/enable_uring"

// offerURing makes the kernel offer FUSE over io_uring until the test ends.
func offerURing(t testing.TB) { setURing(t, "Y") }

func setURing(t testing.TB, value string) {
	t.Helper()
	before, err := os.ReadFile(uringSetting)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("Linux before 6.14 has no FUSE over io_uring")
	}
	if err == nil {
		err = os.WriteFile(uringSetting, []byte(value), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(uringSetting, before, 0o644) })
}

// Without the kernel's offer the server reads and writes, and says so.
func TestURingNotOffered(t *testing.T) {
	needRoot(t)
	setURing(t, "N")
	s, err := Mount(Config{Pages: 16, URing: true, NewStore: func() Store { return newMemory() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeInTime(t, s) })
	if err := s.URing(); !errors.Is(err, ErrNoURing) {
		t.Errorf("URing: %v", err)
	}
	if n, err := s.File().ReadAt(alignedBuffer(t, pageBytes), 0); n != pageBytes || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
}

// A panic over io_uring ends the request and nothing else.
func TestURingPanic(t *testing.T) {
	store := newMemory()
	store.load = func(first uint64) error {
		if first == 3 {
			panic("on purpose")
		}
		return nil
	}
	s := mount(t, store, Config{Pages: 16, URing: true})
	b := alignedBuffer(t, pageBytes)
	for page, want := range map[int64]error{2: nil, 3: unix.EIO, 4: nil} {
		if _, err := s.File().ReadAt(b, page*pageBytes); !errors.Is(err, want) {
			t.Errorf("page %d: %v, want %v", page, err, want)
		}
	}
	if err := <-s.Failed(); err == nil {
		t.Error("nobody was told")
	}
}

// feed puts a request, as read(2) would have given it, where the kernel puts it.
func (e *ringEntry) feed(b []byte) {
	clear(e.head)
	copy(e.head, b[:min(len(b), inHeaderBytes)])
	native.PutUint64(e.head[ringCommitAt:], 77)
	if len(b) < inHeaderBytes {
		return
	}
	rest := b[inHeaderBytes:]
	switch opcode(native.Uint32(b[4:])) {
	case opLookup:
		copy(e.buf[dataAt:], rest)
	case opWrite:
		copy(e.head[ringOpAt:ringDataAt-8], rest[:min(len(rest), ioInBytes)])
		copy(e.buf[dataAt:], rest[min(len(rest), ioInBytes):])
	default:
		copy(e.head[ringOpAt:ringDataAt-8], rest)
	}
}

// FuzzRingRequest serves any request twice, as read(2) and as io_uring would bring it: the answers are the same.
func FuzzRingRequest(f *testing.F) {
	page := make([]byte, pageBytes)
	for _, b := range [][]byte{
		ioFrame(opRead, 2, pageBytes, 2*pageBytes, nil), ioFrame(opWrite, 4, 0, pageBytes, page),
		fallocFrame(6, 0, pageBytes, fallocPunchHole|fallocKeepSize), frame(opLookup, 8, rootNode, fileName),
		frame(opGetattr, 10, fileNode, make([]byte, 16)), frame(opStatfs, 12, fileNode), frame(4711, 14, fileNode),
	} {
		f.Add(b)
	}
	plain, ringed := newTestHandler(newMemory()), newTestHandler(newMemory())
	e := newRingEntry(make([]byte, entryBytes))
	ringed.buf = e.buf
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < inHeaderBytes || len(b) > ringDataBytes {
			return
		}
		native.PutUint32(b, uint32(len(b))) // the kernel's word; what else there may be is FuzzRequest's
		e.feed(b)
		n, commit := e.request()
		if commit != 77 || n != len(b) {
			t.Fatalf("%d bytes, commit %d", n, commit)
		}
		got := ringed.handle(n)
		r := &ringed.req
		if r.op == opRead && r.size > ringDataBytes || r.op != opLookup && r.op != opWrite && n > dataAt-requestAt {
			return // the kernel keeps to what was agreed
		}
		want := plain.feed(b)
		if (got == nil) != (want == nil) {
			t.Fatalf("%x: a reply and none", b)
		}
		if got == nil {
			return
		}
		e.reply(got)
		data := e.buf[dataAt : dataAt+int(native.Uint32(e.head[ringDataAt:]))]
		if !bytes.Equal(e.head[:outHeaderBytes], want[:outHeaderBytes]) || !bytes.Equal(data, want[outHeaderBytes:]) {
			t.Fatalf("%x:\n% x % x, want\n% x", b[:inHeaderBytes], e.head[:outHeaderBytes], data, want)
		}
	})
}
