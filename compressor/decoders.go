package compressor

// Decoders reads objects of every format, so that what an earlier configuration stored stays readable. Not safe for
// concurrent use: one for each worker. Most of it is the zstd decoder; the other formats need no state.
type Decoders struct{ zstd zstdDecoder }

// NewDecoders makes a set, with all the memory that it will use.
func NewDecoders() *Decoders { return &Decoders{zstd: newZstdDecoder()} }

// Decompress fills all of dst from the object src of format id, under the contract of Codec.Decompress. An id that is no
// format is ErrCorrupt, too.
func (d *Decoders) Decompress(id ID, dst, src []byte) error {
	switch id {
	case Raw:
		return copyRaw(dst, src)
	case LZ4:
		return decodeLZ4(dst, src)
	case S2:
		return decodeS2(dst, src)
	case MinLZ:
		return decodeMinLZ(dst, src)
	case Zstd:
		return d.zstd.decode(dst, src)
	}
	return corrupt(id, dst, src, "unknown format")
}
