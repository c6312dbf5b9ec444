package fuse

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// request is one parsed request. Slices point into the thread's buffer.
type request struct {
	op     opcode
	unique uint64 // sent back as it came, the resend mark in the top bit included
	node   uint64

	offset uint64 // READ, WRITE, FALLOCATE: bytes
	size   uint64 // the same: bytes
	mode   uint32 // FALLOCATE
	data   []byte // WRITE: size bytes
	name   []byte // LOOKUP: without the final zero

	major, minor uint32 // INIT
	readahead    uint32 // INIT: bytes
	flags        uint64 // INIT: both words
}

// parse fills r from b, the bytes of one read(2), trusting nothing in them. After an error r.unique is what the
// kernel waits for, or 0 if there is no header.
func (r *request) parse(b []byte) unix.Errno {
	*r = request{}
	if len(b) < inHeaderBytes {
		return unix.EIO
	}
	r.op = opcode(native.Uint32(b[4:]))
	r.unique = native.Uint64(b[8:])
	r.node = native.Uint64(b[16:])
	if uint64(native.Uint32(b)) != uint64(len(b)) {
		return unix.EIO
	}
	body := b[inHeaderBytes:]
	switch r.op {
	case opRead, opWrite:
		return r.parseIO(body)
	case opFallocate:
		return r.parseFallocate(body)
	case opLookup:
		r.name, _, _ = bytes.Cut(body, []byte{0})
	case opInit:
		return r.parseInit(body)
	}
	return 0
}

func (r *request) parseIO(b []byte) unix.Errno {
	if len(b) < ioInBytes {
		return unix.EIO
	}
	r.offset = native.Uint64(b[8:])
	r.size = uint64(native.Uint32(b[16:]))
	if r.op == opRead {
		return 0
	}
	if r.data = b[ioInBytes:]; uint64(len(r.data)) != r.size {
		return unix.EIO
	}
	return 0
}

func (r *request) parseFallocate(b []byte) unix.Errno {
	if len(b) < 32 {
		return unix.EIO
	}
	r.offset = native.Uint64(b[8:])
	r.size = native.Uint64(b[16:])
	r.mode = native.Uint32(b[24:])
	return 0
}

func (r *request) parseInit(b []byte) unix.Errno {
	if len(b) < 16 {
		return unix.EIO
	}
	r.major = native.Uint32(b)
	r.minor = native.Uint32(b[4:])
	r.readahead = native.Uint32(b[8:])
	r.flags = uint64(native.Uint32(b[12:]))
	if r.flags&initExt != 0 && len(b) >= 20 {
		r.flags |= uint64(native.Uint32(b[16:])) << 32
	}
	return 0
}

// pages returns the page range of an I/O request on a file of so many pages. Offset and size must be multiples
// of a page: the loop device, our only client, has blocks of a page, and to merge parts of a page would need a
// lock against the stores of other threads. n is 0 for what lies past the end.
func (r *request) pages(filePages uint64) (first, n uint64, errno unix.Errno) {
	if r.offset%pageBytes != 0 || r.size%pageBytes != 0 {
		return 0, 0, unix.EINVAL
	}
	first, n = r.offset/pageBytes, r.size/pageBytes
	switch {
	case first >= filePages:
		return first, 0, 0
	case n > filePages-first:
		return first, 0, unix.EINVAL
	}
	return first, n, 0
}
