package compressor

// none keeps every page as it is.
type none struct{}

func (none) ID() ID         { return Raw }
func (none) Name() string   { return "none" }
func (none) MaxLen(int) int { return 0 }

func (c none) Compress(dst, src []byte) int {
	checkRoom(c, dst, src)
	return 0
}

func (none) Decompress(dst, src []byte) error { return copyRaw(dst, src) }

// copyRaw reads format Raw.
func copyRaw(dst, src []byte) error {
	if !sane(dst, src) || len(src) != len(dst) {
		return corrupt(Raw, dst, src, "lengths differ")
	}
	copy(dst, src)
	return nil
}
