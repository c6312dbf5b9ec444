package compressor

import "github.com/pierrec/lz4/v4"

// lz4Codec is the fast search of pierrec/lz4; its 136 KiB of tables are in the struct.
type lz4Codec struct {
	name string
	c    lz4.Compressor
}

func newLZ4(name string) *lz4Codec { return &lz4Codec{name: name} }

func (*lz4Codec) ID() ID         { return LZ4 }
func (c *lz4Codec) Name() string { return c.name }

// MaxLen is n: the encoder is given less room than the page takes and stops as soon as the object does not fit.
func (*lz4Codec) MaxLen(n int) int { return n }

func (c *lz4Codec) Compress(dst, src []byte) int {
	checkRoom(c, dst, src)
	// The error means that the room was too short, the zero that there was nothing to gain: the same to us.
	n, err := c.c.CompressBlock(src, dst[:len(src)-1:len(src)-1])
	if err != nil {
		return 0
	}
	return n
}

func (*lz4Codec) Decompress(dst, src []byte) error { return decodeLZ4(dst, src) }

// decodeLZ4 reads format LZ4, which does not say how long the page was: any other length than dst's is damage.
func decodeLZ4(dst, src []byte) error {
	if !sane(dst, src) {
		return corrupt(LZ4, dst, src, "impossible length")
	}
	n, err := lz4.UncompressBlock(src, dst[:len(dst):len(dst)])
	if err != nil {
		return corrupt(LZ4, dst, src, err)
	}
	if n != len(dst) {
		return corrupt(LZ4, dst, src, "page too short")
	}
	return nil
}
