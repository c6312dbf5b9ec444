package fuse

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// dataAt is where the pages of a request lie in a thread's buffer: page-aligned, with room before them for the
// headers of a WRITE, which comes in one read, and of the reply to a READ, which goes out in one write.
const (
	dataAt      = pageBytes
	requestAt   = dataAt - maxHeadBytes
	bufferBytes = dataAt + maxBytes
)

// A handler turns one request in its buffer into one reply in the same buffer. It belongs to one thread.
type handler struct {
	server *Server
	store  Store
	buf    []byte // bufferBytes; see dataAt
	req    request
}

// handle serves the request of n bytes at requestAt and returns the reply, nil if the kernel waits for none.
// The reply dies with the next request.
func (h *handler) handle(n int) []byte {
	r := &h.req
	errno := r.parse(h.buf[requestAt : requestAt+n])
	if errno != 0 {
		h.server.stats.malformed.Add(1)
	}
	if r.unique == 0 {
		return nil // the kernel numbers its requests from 2; a reply to 0 would be a notification
	}
	if r.unique&resendMark != 0 {
		h.server.stats.resent.Add(1)
	}
	if errno != 0 {
		return h.fail(errno)
	}
	switch r.op {
	case opRead:
		return h.read()
	case opWrite:
		return h.write()
	case opFallocate:
		return h.fallocate()
	case opForget, opBatchForget:
		return nil
	case opInit:
		return h.init()
	case opLookup:
		return h.lookup()
	case opGetattr:
		return h.getattr()
	case opOpen:
		return h.open()
	case opStatfs:
		return h.statfs()
	case opRelease, opDestroy:
		return h.reply(0)
	case opSetattr:
		return h.fail(unix.EPERM) // the size is fixed, and nobody else looks at the rest
	default:
		// ENOSYS is an answer with a meaning: FLUSH and FSYNC succeed at once from now on, INTERRUPT and
		// the extended attributes are not asked for again. Directories cannot be listed: nobody can see one.
		return h.fail(unix.ENOSYS)
	}
}

// handleOrFail handles a request. A panic must not take other programs' pages down with us while they can still be
// brought back: the request ends in an error, and whoever waits for Failed is told.
func (h *handler) handleOrFail(n int) (reply []byte) {
	defer func() {
		if p := recover(); p != nil {
			h.server.stats.panics.Add(1)
			h.server.fail(fmt.Errorf("fuse: panic while serving: %v\n%s", p, debug.Stack()))
			reply = h.fail(unix.EIO)
		}
	}()
	return h.handle(n)
}

// reply returns a reply without an error whose body is n bytes, already in place.
func (h *handler) reply(n int) []byte {
	return putHeader(h.buf[:outHeaderBytes+n], 0, h.req.unique)
}

// body returns the zeroed body of a reply that reply(n) will send.
func (h *handler) body(n int) []byte {
	b := h.buf[outHeaderBytes : outHeaderBytes+n]
	clear(b)
	return b
}

func (h *handler) fail(errno unix.Errno) []byte {
	return putHeader(h.buf[:outHeaderBytes], errno, h.req.unique)
}

// malformed is fail for what nobody should ask.
func (h *handler) malformed(errno unix.Errno) []byte {
	h.server.stats.malformed.Add(1)
	return h.fail(errno)
}

// putHeader writes the header of the reply b, which it returns.
func putHeader(b []byte, errno unix.Errno, unique uint64) []byte {
	native.PutUint32(b, uint32(len(b)))
	native.PutUint32(b[4:], uint32(-int32(errno)))
	native.PutUint64(b[8:], unique)
	return b
}

// read answers READ with all pages or with an error; at and past the end of the file with nothing.
func (h *handler) read() []byte {
	s := h.server
	first, n, errno := h.req.pages(s.cfg.Pages)
	switch {
	case errno != 0:
		return h.malformed(errno)
	case h.req.node != fileNode || h.req.size > uint64(len(h.buf)-dataAt):
		return h.malformed(unix.EIO)
	case n == 0:
		return h.reply(0)
	}
	end := dataAt + int(n)*pageBytes
	if err := h.store.Load(first, h.buf[dataAt:end:end]); err != nil {
		s.stats.readErrors.Add(1)
		return h.fail(unix.EIO)
	}
	s.stats.reads.Add(1)
	s.stats.readPages.Add(n)
	return putHeader(h.buf[dataAt-outHeaderBytes:end], 0, h.req.unique)
}

// write answers WRITE with the whole size or with an error.
func (h *handler) write() []byte {
	s := h.server
	first, n, errno := h.req.pages(s.cfg.Pages)
	switch {
	case errno != 0:
		return h.malformed(errno)
	case h.req.node != fileNode:
		return h.malformed(unix.EIO)
	case n == 0 && h.req.size > 0:
		return h.malformed(unix.EFBIG)
	}
	if n > 0 {
		if err := h.store.Store(first, h.req.data[:len(h.req.data):len(h.req.data)]); err != nil {
			if slices.Contains(s.cfg.Refusals, err) {
				s.stats.refusedWrites.Add(1)
			} else {
				s.stats.writeErrors.Add(1)
			}
			return h.fail(unix.EIO)
		}
	}
	s.stats.writes.Add(1)
	s.stats.writtenPages.Add(n)
	native.PutUint32(h.body(8), uint32(h.req.size))
	return h.reply(8)
}

// fallocate invalidates pages: both to punch a hole and to zero a range leave zeros behind. What reaches over
// the end is cut: KEEP_SIZE allows it.
func (h *handler) fallocate() []byte {
	r, s := &h.req, h.server
	if mode := r.mode &^ fallocKeepSize; mode != fallocPunchHole && mode != fallocZeroRange {
		return h.fail(unix.EOPNOTSUPP)
	}
	if r.node != fileNode || r.offset%pageBytes != 0 || r.size%pageBytes != 0 {
		return h.malformed(unix.EINVAL)
	}
	first, n := r.offset/pageBytes, r.size/pageBytes
	if first < s.cfg.Pages && n > 0 {
		n = min(n, s.cfg.Pages-first)
		if err := h.store.Invalidate(first, n); err != nil {
			s.stats.discardErrors.Add(1)
			return h.fail(unix.EIO)
		}
		s.stats.discardedPages.Add(n)
	}
	s.stats.discards.Add(1)
	return h.reply(0)
}

// observe counts the time that the request in the buffer took.
func (h *handler) observe(took time.Duration) {
	switch h.req.op {
	case opRead:
		h.server.stats.load.Observe(took)
	case opWrite:
		h.server.stats.store.Observe(took)
	}
}
