package ublk

import (
	"fmt"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"
)

// request is one descriptor, parsed.
type request struct {
	op       uint32
	first, n uint64 // pages
}

// parse reads a descriptor. It is false for what is not whole pages of the device.
func (r *request) parse(b []byte, pages uint64) bool {
	const inPage = 1<<(pageShift-sectorShift) - 1
	sectors, start := uint64(native.Uint32(b[4:])), native.Uint64(b[8:])
	r.op = native.Uint32(b) & 0xff
	r.first, r.n = start>>(pageShift-sectorShift), sectors>>(pageShift-sectorShift)
	if r.op == opFlush {
		return true // without a range
	}
	return sectors&inPage == 0 && start&inPage == 0 && r.n <= pages && r.first <= pages-r.n
}

// handle serves the request of a tag and returns what is to be committed: bytes, or an error number below zero.
func (s *Server) handle(tag int) int32 {
	r := &s.req
	if !r.parse(s.descs[tag*descBytes:], s.cfg.Pages) {
		s.stats.malformed.Add(1)
		return -int32(unix.EIO)
	}
	switch r.op {
	case opRead:
		return s.read(tag)
	case opWrite:
		return s.write(tag)
	case opFlush:
		return 0 // a page is safe when its write is answered
	case opDiscard, opWriteZeroes: // both leave zeros behind
		if err := s.store.Invalidate(r.first, r.n); err != nil {
			s.stats.discardErrors.Add(1)
			return -int32(unix.EIO)
		}
		s.stats.discards.Add(1)
		s.stats.discardedPages.Add(r.n)
		return 0
	}
	s.stats.malformed.Add(1)
	return -int32(unix.EOPNOTSUPP)
}

// data returns the room for the request's pages, nil if there is not so much.
func (s *Server) data() []byte {
	n := s.req.n << pageShift
	if n == 0 || n > uint64(len(s.buf)) {
		s.stats.malformed.Add(1)
		return nil
	}
	return s.buf[:n:n]
}

func (s *Server) read(tag int) int32 {
	begin := now()
	b := s.data()
	if b == nil {
		return -int32(unix.EIO)
	}
	if err := s.store.Load(s.req.first, b); err != nil {
		s.stats.readErrors.Add(1)
		return -int32(unix.EIO)
	}
	if n, errno := rawPwrite(s.char, b, copyAt+int64(tag)<<tagShift); errno != 0 || n != len(b) {
		s.stats.copyErrors.Add(1)
		return -int32(unix.EIO)
	}
	s.stats.reads.Add(1)
	s.stats.readPages.Add(s.req.n)
	s.stats.load.Observe(now() - begin)
	s.cfg.Hold.Event()
	return int32(len(b))
}

func (s *Server) write(tag int) int32 {
	begin := now()
	b := s.data()
	if b == nil {
		return -int32(unix.EIO)
	}
	if n, errno := rawPread(s.char, b, copyAt+int64(tag)<<tagShift); errno != 0 || n != len(b) {
		s.stats.copyErrors.Add(1)
		return -int32(unix.EIO)
	}
	if err := s.store.Store(s.req.first, b); err != nil {
		if slices.Contains(s.cfg.Refusals, err) {
			s.stats.refusedWrites.Add(1)
		} else {
			s.stats.writeErrors.Add(1)
		}
		return -int32(unix.EIO)
	}
	s.stats.writes.Add(1)
	s.stats.writtenPages.Add(s.req.n)
	s.stats.store.Observe(now() - begin)
	return int32(len(b))
}

// handleOrFail handles a request. A panic must not take other programs' pages down with us while they can still be brought
// back: the request ends in an error, and whoever waits for Failed is told.
func (s *Server) handleOrFail(tag int) (result int32) {
	defer func() {
		if p := recover(); p != nil {
			s.stats.panics.Add(1)
			s.fail(fmt.Errorf("ublk: panic while serving: %v\n%s", p, debug.Stack()))
			result = -int32(unix.EIO)
		}
	}()
	return s.handle(tag)
}
