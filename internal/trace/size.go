package trace

import (
	"bytes"

	"github.com/zswapd/zswapd/compressor"
)

// sizer measures pages for a trace that does not keep them.
type sizer struct {
	codec compressor.Codec
	buf   []byte
}

func newSizer(c compressor.Codec) *sizer {
	return &sizer{codec: c, buf: make([]byte, c.MaxLen(PageSize))}
}

// size returns the bytes that a page compresses to, PageSize if it does not, 0 if it repeats 8 bytes.
func (s *sizer) size(page []byte) int {
	if bytes.Equal(page[8:], page[:PageSize-8]) {
		return 0
	}
	if n := s.codec.Compress(s.buf, page); n > 0 {
		return n
	}
	return PageSize
}
