package compressor

import "github.com/klauspost/compress/zstd"

// zstdCodec is klauspost's zstd. The encoder owns its tables.
type zstdCodec struct {
	name string
	enc  *zstd.Encoder
	dec  zstdDecoder
}

// newZstd maps zstd's levels 1 to 22 to the four strengths of the library: 1, 3, 6 and 10 and up.
func newZstd(name string, level int) *zstdCodec {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(MaxPage), // so every page is a single block, encoded without a copy of it as history
		zstd.WithSingleSegment(true), // no window descriptor; the length is always there
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true)) // buffers start small; warmUp grows them to what MaxPage needs
	if err != nil {
		panic("compressor: zstd encoder: " + err.Error()) // only for options that do not fit each other
	}
	c := &zstdCodec{name: name, enc: enc, dec: newZstdDecoder()}
	warmUp(c)
	return c
}

func (*zstdCodec) ID() ID         { return Zstd }
func (c *zstdCodec) Name() string { return c.name }

// MaxLen: the encoder gives up only when the whole block is written and turns out too long. A sequence is at most 43 bits
// for 4 bytes of page (window of 64 KiB), three tables and the headers less than 400 bytes.
func (*zstdCodec) MaxLen(n int) int { return 2*n + 512 }

func (c *zstdCodec) Compress(dst, src []byte) int {
	checkRoom(c, dst, src)
	out := c.enc.EncodeAll(src, dst[:0:len(dst)])
	if len(out) >= len(src) {
		return 0
	}
	if &out[0] != &dst[0] { // it grew on the way: MaxLen's sum is wrong, which costs time but not the page
		copy(dst, out)
	}
	return len(out)
}

func (c *zstdCodec) Decompress(dst, src []byte) error { return c.dec.decode(dst, src) }
