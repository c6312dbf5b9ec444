package compressor

import "github.com/pierrec/lz4/v4"

// lz4hc writes format LZ4 and searches longer; its 256 KiB of tables are in the struct. Half of them are cleared for
// every page, about 3 µs, so it only pays for clusters.
type lz4hc struct {
	name string
	c    lz4.CompressorHC
}

// newLZ4HC maps levels 1 to 9 to chains of 2^9 to 2^17 candidates per position.
func newLZ4HC(name string, level int) *lz4hc {
	return &lz4hc{name: name, c: lz4.CompressorHC{Level: lz4.Level1 << (level - 1)}}
}

func (*lz4hc) ID() ID         { return LZ4 }
func (c *lz4hc) Name() string { return c.name }

// MaxLen is the room in which any page fits: with less, this encoder runs into a bounds check and recovers from the
// panic, which allocates.
func (*lz4hc) MaxLen(n int) int { return lz4.CompressBlockBound(n) }

func (c *lz4hc) Compress(dst, src []byte) int {
	checkRoom(c, dst, src)
	n, err := c.c.CompressBlock(src, dst)
	if err != nil {
		panic("compressor: " + c.name + ": no room in the room it asked for: " + err.Error())
	}
	if n >= len(src) {
		return 0
	}
	return n
}

func (*lz4hc) Decompress(dst, src []byte) error { return decodeLZ4(dst, src) }
