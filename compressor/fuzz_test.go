package compressor

import "testing"

// FuzzRoundTrip: every codec gives back every page, within the fences. Run it with a fixed number of executions, such as
// -fuzz FuzzRoundTrip -fuzztime 100000x.
func FuzzRoundTrip(f *testing.F) {
	for _, k := range pageKinds {
		for _, size := range []int{1, 300, 4096} {
			f.Add(makePage(k.fill, size))
		}
	}
	mem, d := newFences(f, MaxPage), NewDecoders()
	var codecs []Codec
	for _, name := range []string{"none", "lz4", "lz4hc", "s2", "minlz", "minlz:0", "minlz:2", "zstd", "zstd:3", "zstd:6"} {
		codecs = append(codecs, mustNew(f, name))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if len(page) == 0 || len(page) > MaxPage {
			return
		}
		for _, c := range codecs {
			if n, err := roundTrip(c, d, mem, page); err != nil {
				t.Fatalf("%s: %d → %d bytes: %v", c.Name(), len(page), n, err)
			}
		}
	})
}

// FuzzDecompress: whatever the bytes, each format answers with a page or with ErrCorrupt and stays within the fences.
func FuzzDecompress(f *testing.F) {
	for _, name := range []string{"lz4", "s2", "minlz", "minlz:0", "minlz:2", "zstd", "zstd:6"} {
		c := mustNew(f, name)
		for _, k := range pageKinds {
			for _, size := range []int{100, 700, 4096} {
				page := makePage(k.fill, size)
				object := make([]byte, c.MaxLen(size))
				if n := c.Compress(object, page); n > 0 {
					f.Add(uint8(c.ID()), uint32(size), object[:n])
				}
			}
		}
	}
	mem, d := newFences(f, MaxPage), NewDecoders()
	f.Fuzz(func(t *testing.T, id uint8, size uint32, object []byte) {
		if len(object) > MaxPage {
			return
		}
		id %= 16
		decompress := func(dst, src []byte) error { return d.Decompress(ID(id), dst, src) }
		tryDamaged(t, ID(id), decompress, mem, int(size%(MaxPage+1)), object)
	})
}
