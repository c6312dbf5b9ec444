// Package trace writes down what a swap device was asked, with the pages, and reads it again.
//
//	serving threads ─► Recorder's ring (bounded, preallocated) ─► writer goroutine ─► Writer ─► file ─► Reader
//
// Event: one call that the pool served: a store, a load or an invalidation of neighbouring slots, and when.
// block: some events and the pages that are new in them, compressed and checksummed together.
// window: the distinct pages that were written last. A page that is among them is written as a reference.
// gap: events that were dropped because the writer was too slow. The device never waits for the file.
//
// # Order
//
// An event is put into the ring after the pool has served it and before its reply goes out. The kernel has at most one
// request for a page under way (see fuse.Adopt), so the events of one slot are in the order in which the pool served
// them. Calls on one slot that do overlap, of somebody who reads the device itself, are in either order.
//
// # The file, version 1
//
// Numbers are little-endian; varint is that of encoding/binary.
//
//	file:   "zswaptrc" | version:32 | length:32 | crc:32 | Meta as JSON, of that length | block | block | …
//	block:  events:32 | pages:32 | packed:32 | crc:32 | one zstd frame of packed bytes, or its content as it is, if that
//	        is as long: what does not compress, and what was written in a hurry
//	frame:  the events, of that many bytes | the new pages, of 4096 bytes each
//	event:  op:8 | time since the event before, ns, uvarint | what the op has:
//
//	store, load, invalidate, refused:  first slot less the end of the one before, varint | count of pages, uvarint
//	store, then for each page:         with pages: 0, the next new page of the block, or n, the n-th last distinct page
//	                                   without:    the bytes that it compressed to, 0 if it is same-filled
//	gap:                               events, pages stored, loaded, invalidated that were dropped; uvarints
//	end:                               nothing. Recording ended here as it should; nothing follows
//
// crc is CRC-32C: in the header of the JSON, in a block of its first three numbers and what follows it. A file of a process
// that was killed has no end, and perhaps half a block; a Reader returns all whole blocks and then ErrTruncated.
//
// # Without pages
//
// Meta.Pages false keeps other programs' memory out of the file: a page is then the number of bytes that it compresses
// to. A replay takes generated pages that compress alike. Pages as seeds of a generator were considered: they serve the
// built-in workload only, which can be run again anyway.
package trace
