package fuse

import (
	"math"

	"golang.org/x/sys/unix"
)

// This file answers what is asked once, when the connection and the file are opened.

const (
	initOutBytes   = 64
	attrBytes      = 88
	attrOutBytes   = 16 + attrBytes
	entryOutBytes  = 40 + attrBytes
	openOutBytes   = 16
	statfsOutBytes = 80
	maxBackground  = 1024 // requests the kernel may send before it holds more back; all swap I/O is "background"
)

// init negotiates. Only what both sides know counts; a kernel without HAS_RESEND works, but a killed server
// then loses what it had read.
func (h *handler) init() []byte {
	r := &h.req
	if r.major != protoMajor || r.minor < 36 { // 36: flags in two words, Linux 5.17
		return h.fail(unix.EPROTO)
	}
	wanted, pages := uint64(initWanted), uint16(maxPages)
	if len(h.server.rings) > 0 && r.flags&initOverURing != 0 {
		wanted, pages = initWanted|initOverURing, ringPages
	}
	flags := r.flags & wanted
	h.server.flags.Store(flags)
	b := h.body(initOutBytes)
	native.PutUint32(b, protoMajor)
	native.PutUint32(b[4:], protoMinor)
	native.PutUint32(b[8:], r.readahead)
	native.PutUint32(b[12:], uint32(flags))
	native.PutUint16(b[16:], maxBackground)
	native.PutUint16(b[18:], maxBackground*3/4) // from here on the device counts as congested
	native.PutUint32(b[20:], uint32(pages)*pageBytes)
	native.PutUint32(b[24:], 1) // granularity of times, in ns
	native.PutUint16(b[28:], pages)
	native.PutUint32(b[32:], uint32(flags>>32))
	return h.reply(initOutBytes)
}

func (h *handler) lookup() []byte {
	if h.req.node != rootNode || string(h.req.name) != fileName {
		return h.fail(unix.ENOENT)
	}
	b := h.body(entryOutBytes)
	native.PutUint64(b, fileNode)
	native.PutUint64(b[16:], cacheSeconds) // of the name
	native.PutUint64(b[24:], cacheSeconds) // of the attributes
	h.putAttr(b[40:], fileNode)
	return h.reply(entryOutBytes)
}

func (h *handler) getattr() []byte {
	if h.req.node != rootNode && h.req.node != fileNode {
		return h.fail(unix.ENOENT)
	}
	b := h.body(attrOutBytes)
	native.PutUint64(b, cacheSeconds)
	h.putAttr(b[16:], h.req.node)
	return h.reply(attrOutBytes)
}

// putAttr writes the attributes of a node into zeroed bytes. All times are zero, and root owns both nodes.
func (h *handler) putAttr(b []byte, node uint64) {
	mode, links, bytes := uint32(unix.S_IFDIR|0o700), uint32(2), uint64(0)
	if node == fileNode {
		mode, links, bytes = unix.S_IFREG|0o600, 1, h.server.cfg.Pages*pageBytes
	}
	native.PutUint64(b, node)
	native.PutUint64(b[8:], bytes)
	native.PutUint64(b[16:], bytes/512)
	native.PutUint32(b[60:], mode)
	native.PutUint32(b[64:], links)
	native.PutUint32(b[80:], pageBytes)
}

func (h *handler) open() []byte {
	if h.req.node != fileNode {
		return h.fail(unix.EISDIR)
	}
	native.PutUint32(h.body(openOutBytes)[8:], openDirectIO|openNoFlush|openParallelDirectWrites)
	return h.reply(openOutBytes)
}

// statfs matters for its block size: the loop device takes its discard granularity from it.
func (h *handler) statfs() []byte {
	b := h.body(statfsOutBytes)
	native.PutUint64(b, h.server.cfg.Pages)
	native.PutUint64(b[24:], 1)             // files
	native.PutUint32(b[40:], pageBytes)     // block size
	native.PutUint32(b[44:], math.MaxUint8) // name length
	native.PutUint32(b[48:], pageBytes)     // fragment size
	return h.reply(statfsOutBytes)
}
