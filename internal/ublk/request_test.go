package ublk

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// newTestServer is a server without a device: a file in memory stands in for the place where the driver has the data.
func newTestServer(t testing.TB, store Store) *Server {
	fd, err := unix.MemfdCreate("data", unix.MFD_CLOEXEC)
	noErr(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	s := &Server{cfg: Config{Pages: 64, Depth: 4}, char: fd, store: store, buf: aligned(t, 8*pageBytes), broken: make(chan error, 1)}
	s.descs = make([]byte, s.tags()*descBytes)
	return s
}

func (s *Server) describe(tag int, op uint32, sectors uint32, start uint64) {
	d := s.descs[tag*descBytes:]
	native.PutUint32(d, op|1<<16) // with a flag, UBLK_IO_F_SWAP
	native.PutUint32(d[4:], sectors)
	native.PutUint64(d[8:], start)
}

// ask serves a request whose data, if any, are those of a WRITE, and returns the result and the data of a READ.
func (s *Server) ask(t testing.TB, tag int, op uint32, first, n uint64, data []byte) (int32, []byte) {
	at := copyAt + int64(tag)<<tagShift
	if data != nil {
		_, err := unix.Pwrite(s.char, data, at)
		noErr(t, err)
	}
	s.describe(tag, op, uint32(n<<3), first<<3)
	result := s.handleOrFail(tag)
	got := make([]byte, n<<pageShift)
	if op == opRead && result > 0 {
		_, err := unix.Pread(s.char, got, at)
		noErr(t, err)
	}
	return result, got
}

func TestRequests(t *testing.T) {
	m := newMemory()
	s := newTestServer(t, m)
	pages := make([]byte, 3*pageBytes)
	for i := range uint64(3) {
		fill(pages[i*pageBytes:], 5+i, 1)
	}
	if r, _ := s.ask(t, 2, opWrite, 5, 3, pages); r != 3*pageBytes || m.stored() != 3 {
		t.Fatalf("write: %d, %d pages stored", r, m.stored())
	}
	if r, got := s.ask(t, 4, opRead, 6, 2, nil); r != 2*pageBytes || !bytes.Equal(got, pages[pageBytes:]) {
		t.Errorf("read: %d, other bytes than were written", r)
	}
	if r, _ := s.ask(t, 0, opDiscard, 6, 1, nil); r != 0 || m.stored() != 2 {
		t.Errorf("discard: %d, %d pages are left", r, m.stored())
	}
	if r, _ := s.ask(t, 0, opWriteZeroes, 0, 64, nil); r != 0 || m.stored() != 0 {
		t.Errorf("write zeroes: %d, %d pages are left", r, m.stored())
	}
	if r, _ := s.ask(t, 1, opFlush, 0, 0, nil); r != 0 {
		t.Errorf("flush: %d", r)
	}
	if r, got := s.ask(t, 1, opRead, 5, 1, nil); r != pageBytes || !bytes.Equal(got, make([]byte, pageBytes)) {
		t.Errorf("read of a page that is gone: %d, no zeros", r)
	}
}

// What is no whole page of the device, or larger than agreed, or unknown, is refused and touches nothing.
func TestRefused(t *testing.T) {
	m := newMemory()
	s := newTestServer(t, m)
	for _, c := range []struct {
		op, sectors uint32
		start       uint64
		want        unix.Errno
	}{
		{opWrite, 7, 0, unix.EIO}, {opWrite, 8, 4, unix.EIO}, {opWrite, 0, 0, unix.EIO}, {opWrite, 9 * 8, 0, unix.EIO},
		{opRead, 8, 64 * 8, unix.EIO}, {opRead, 16, 63 * 8, unix.EIO}, {opDiscard, 8, 1 << 63, unix.EIO},
		{opWriteZeroes, 0xfffffff8, 8, unix.EIO}, {4, 8, 0, unix.EOPNOTSUPP}, {77, 8, 0, unix.EOPNOTSUPP},
	} {
		s.describe(0, c.op, c.sectors, c.start)
		if got := s.handleOrFail(0); got != -int32(c.want) {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if st := s.Stats(); m.stored() != 0 || st.Malformed != 10 || st.Reads+st.Writes+st.Discards != 0 {
		t.Errorf("%d pages, %+v", m.stored(), st)
	}
}

// Errors of the store and its panics end the request in EIO; a panic is told.
func TestErrorsOfTheStore(t *testing.T) {
	m := newMemory()
	s := newTestServer(t, m)
	m.fail = func(string, uint64) error { return errors.New("no") }
	for _, op := range []uint32{opRead, opWrite, opDiscard} {
		if r, _ := s.ask(t, 0, op, 1, 1, make([]byte, pageBytes)); r != -int32(unix.EIO) {
			t.Errorf("operation %d: %d", op, r)
		}
	}
	full := errors.New("full")
	s.cfg.Refusals = []error{full}
	m.fail = func(string, uint64) error { return full }
	if r, _ := s.ask(t, 0, opWrite, 1, 1, make([]byte, pageBytes)); r != -int32(unix.EIO) {
		t.Errorf("a refused page: %d", r)
	}
	if st := s.Stats(); st.ReadErrors != 1 || st.WriteErrors != 1 || st.DiscardErrors != 1 || st.RefusedWrites != 1 {
		t.Errorf("%+v", st)
	}
	m.fail = func(string, uint64) error { panic("on purpose") }
	if r, _ := s.ask(t, 0, opRead, 1, 1, nil); r != -int32(unix.EIO) {
		t.Errorf("a panic: %d", r)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("nobody was told of the panic")
	}
}

type nothing struct{}

func (nothing) Load(uint64, []byte) error       { return nil }
func (nothing) Store(uint64, []byte) error      { return nil }
func (nothing) Invalidate(uint64, uint64) error { return nil }

func TestNoAllocationsOnTheWayOfARequest(t *testing.T) {
	s := newTestServer(t, nothing{})
	_, err := unix.Pwrite(s.char, make([]byte, pageBytes), copyAt)
	noErr(t, err)
	for _, op := range []uint32{opRead, opWrite, opDiscard} {
		s.describe(0, op, 8, 8)
		if n := testing.AllocsPerRun(200, func() {
			if r := s.handleOrFail(0); r < 0 {
				t.Fatalf("operation %d: %d", op, r)
			}
		}); n != 0 {
			t.Errorf("operation %d allocates %v times", op, n)
		}
	}
}

// FuzzDescriptor: whatever the driver says, pages beyond the device are never asked for, and the range is what was said.
func FuzzDescriptor(f *testing.F) {
	f.Add(uint32(opRead), uint32(8), uint64(8), uint64(64))
	f.Add(uint32(opDiscard), uint32(1<<31), uint64(1<<62), uint64(1)<<51)
	f.Fuzz(func(t *testing.T, op, sectors uint32, start, pages uint64) {
		b := make([]byte, descBytes)
		native.PutUint32(b, op)
		native.PutUint32(b[4:], sectors)
		native.PutUint64(b[8:], start)
		var r request
		if !r.parse(b, pages) || r.op == opFlush {
			return
		}
		if r.first+r.n < r.first || r.first+r.n > pages || r.first<<3 != start || r.n<<3 != uint64(sectors) {
			t.Fatalf("%+v of %d pages", r, pages)
		}
	})
}

// Reads are served before all others, each in the order in which they came.
func TestReadsFirst(t *testing.T) {
	s := newTestServer(t, nothing{})
	for tag, op := range []uint32{opWrite, opRead, opDiscard, opRead, opWrite} {
		s.describe(tag, op, 8, 0)
		s.pend(uint64(tag), 0)
	}
	for _, want := range []int{1, 3, 0, 2, 4} {
		if tag, ok := s.next(); !ok || tag != want {
			t.Fatalf("%d %v, want %d", tag, ok, want)
		}
	}
	if tag, ok := s.next(); ok {
		t.Errorf("and %d", tag)
	}
}
