package fuse

import "github.com/zswapd/zswapd/internal/uring"

// Sizes and places in struct fuse_uring_req_header: the header of the request, or of the reply; that of the operation; and
// what is said about the entry.
const (
	ringOpAt      = 128
	ringOpBytes   = 40 // what is used of it by the operations that we know
	ringCommitAt  = 264
	ringDataAt    = 272 // bytes of payload, a uint32
	ringHeadBytes = 288
)

// Commands to a queue.
const (
	ringRegister       = 1
	ringCommitAndFetch = 2
)

// ringEntry is where the kernel puts one request, and takes the reply: the headers in one place, the payload in another.
type ringEntry struct {
	buf     []byte // of a handler, the payload at dataAt
	head    []byte
	vectors []byte // two iovecs: head and payload
}

// newRingEntry lays an entry out in entryBytes.
func newRingEntry(b []byte) ringEntry {
	end := len(b) - pageBytes
	e := ringEntry{buf: b[:end:end], head: b[end : end+ringHeadBytes], vectors: b[end+512 : end+544]}
	native.PutUint64(e.vectors, uring.Address(e.head))
	native.PutUint64(e.vectors[8:], ringHeadBytes)
	native.PutUint64(e.vectors[16:], uring.Address(e.buf[dataAt:]))
	native.PutUint64(e.vectors[24:], uint64(end-dataAt))
	return e
}

// request lays the request out as read(2) would have, at requestAt: n bytes. The data of a WRITE are in place.
func (e *ringEntry) request() (n int, commit uint64) {
	n = int(min(uint64(native.Uint32(e.head)), uint64(len(e.buf)-requestAt)))
	body := e.buf[requestAt+inHeaderBytes : dataAt]
	if opcode(native.Uint32(e.head[4:])) == opLookup { // it has no header of its own, the name is the payload
		copy(body, e.buf[dataAt:])
	} else {
		copy(body, e.head[ringOpAt:ringOpAt+ringOpBytes])
	}
	copy(e.buf[requestAt:], e.head[:inHeaderBytes])
	return n, native.Uint64(e.head[ringCommitAt:])
}

// reply hands a handler's reply over. The pages of a READ are in place.
func (e *ringEntry) reply(b []byte) {
	copy(e.head, b[:outHeaderBytes])
	data := b[outHeaderBytes:]
	native.PutUint32(e.head[ringDataAt:], uint32(len(data)))
	copy(e.buf[dataAt:], data) // onto itself for a READ: costs nothing
}
