package compressor

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdDecoder reads format Zstd. Not safe for concurrent use. It holds about 240 KiB.
type zstdDecoder struct{ d *zstd.Decoder }

func newZstdDecoder() zstdDecoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), // buffers follow the largest page so far: 64 KiB each, not 128
		zstd.WithDecoderMaxMemory(MaxPage),
		zstd.WithDecoderMaxWindow(MaxPage),
		zstd.WithDecodeAllCapLimit(true)) // never grows dst
	if err != nil {
		panic("compressor: zstd decoder: " + err.Error())
	}
	z := zstdDecoder{d}
	page := make([]byte, MaxPage)
	for _, frame := range largestFrames() {
		if err := z.decode(page, frame); err != nil {
			panic("compressor: zstd cannot read itself: " + err.Error())
		}
	}
	return z
}

// largestFrames are pages of MaxPage bytes that ask the most of a decoder's buffers: a block of one repeated byte, one of
// literals only, two of sequences. The last one uses all four tables that a block can have: the decoder takes them from
// a pool and holds them until the next frame, so each decoder begins with a set. Made once, by an encoder that is then
// garbage.
var largestFrames = sync.OnceValue(func() (frames [][]byte) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(MaxPage),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		panic("compressor: zstd encoder: " + err.Error())
	}
	page := make([]byte, MaxPage)
	for _, fill := range []func([]byte){fillCopies, func(p []byte) { clear(p) }, fillSevenBit, fillChunks(4), fillCopies} {
		fill(page)
		frames = append(frames, enc.EncodeAll(page, nil))
	}
	return frames
})

func (z zstdDecoder) decode(dst, src []byte) error {
	if !sane(dst, src) {
		return corrupt(Zstd, dst, src, "impossible length")
	}
	// Both slices are clipped: the library copies in blocks of 16 bytes wherever the capacity lets it.
	out, err := z.d.DecodeAll(src[:len(src):len(src)], dst[:0:len(dst)])
	if err != nil {
		return corrupt(Zstd, dst, src, err)
	}
	if len(out) != len(dst) || &out[0] != &dst[0] {
		return corrupt(Zstd, dst, src, "decodes to another length")
	}
	return nil
}
