package compressor

import (
	"errors"
	"fmt"
)

// MaxPage is the longest page in bytes: a cluster of sixteen 4 KiB pages. It is also the reach of every format here that
// has a window (lz4 looks back 65,535 bytes), and it bounds the buffers that codecs hold.
const MaxPage = 64 << 10

// ErrCorrupt is returned, wrapped with the format and the reason, when an object is damaged: it does not decode, or it
// decodes to another length than the page had.
var ErrCorrupt = errors.New("compressor: corrupt object")

// An ID is the format of an object as the store records it: four bits, zero means "as it is".
type ID uint8

// The formats. A number that was ever released is never given another meaning.
const (
	Raw   ID = 0 // the page itself
	LZ4   ID = 1 // lz4 block; made by lz4 and lz4hc
	S2    ID = 2 // s2 block: length as a varint, then snappy with repeats
	MinLZ ID = 3 // minlz block: zero byte, length as a varint, then tokens
	Zstd  ID = 4 // one zstd frame, single segment, without checksum; any zstd reads it
)

const _ = uint(15 - Zstd) // the last ID fits four bits, or it does not compile; zpool has some for itself

// String returns the name of the format; several codecs may write one format.
func (id ID) String() string {
	switch id {
	case Raw:
		return "raw"
	case LZ4:
		return "lz4"
	case S2:
		return "s2"
	case MinLZ:
		return "minlz"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("ID(%d)", uint8(id))
}

// A Codec is one worker's compressor with its decompressor. It is not safe for concurrent use.
//
// dst and src must not overlap. Everything is allocated in [New]; see the package comment for the one exception.
type Codec interface {
	// ID is the format of what Compress makes and Decompress reads.
	ID() ID

	// Name is the canonical name: New(c.Name()) makes the same codec, and the lowest level is not written out.
	Name() string

	// MaxLen is the room in bytes that Compress needs in dst for n bytes of src, 1 <= n <= MaxPage. It is scratch space,
	// up to 2n+512; the object that results is always shorter than n.
	MaxLen(n int) int

	// Compress writes an object to dst and returns its length in bytes, or 0 if it would not be shorter than src: then
	// the page is to be kept as it is, with ID Raw. It may leave anything in the rest of dst.
	// Preconditions, else it panics: 1 <= len(src) <= MaxPage and len(dst) >= MaxLen(len(src)).
	Compress(dst, src []byte) int

	// Decompress fills all of dst from the object src, or returns ErrCorrupt; then dst may hold anything. It neither
	// panics nor touches a byte outside the two slices, whatever src holds, and allocates only to make the error.
	Decompress(dst, src []byte) error
}

// checkRoom panics unless dst has the room that a codec asks for src.
func checkRoom(c Codec, dst, src []byte) {
	if len(src) < 1 || len(src) > MaxPage {
		panic(fmt.Sprintf("compressor: %s: page of %d bytes, want 1 to %d", c.Name(), len(src), MaxPage))
	}
	if need := c.MaxLen(len(src)); len(dst) < need {
		panic(fmt.Sprintf("compressor: %s: dst has %d bytes, a page of %d needs %d", c.Name(), len(dst), len(src), need))
	}
}

// sane tells whether the two lengths can belong to an object and its page, so that no decoder ever sees an empty slice.
func sane(dst, src []byte) bool { return len(src) > 0 && len(dst) > 0 && len(dst) <= MaxPage }

// corrupt wraps ErrCorrupt. It allocates, so it stays off the way of a good object.
func corrupt(id ID, dst, src []byte, reason any) error {
	return fmt.Errorf("%w: %v, %d bytes for a page of %d: %v", ErrCorrupt, id, len(src), len(dst), reason)
}
