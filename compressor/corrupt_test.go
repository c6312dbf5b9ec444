package compressor

import (
	"bytes"
	"errors"
	"testing"
)

// tryDamaged decompresses a damaged object for a page of n bytes, at both edges, and checks what is promised: ErrCorrupt
// or a page, and nothing outside dst touched.
func tryDamaged(t *testing.T, id ID, decompress func(dst, src []byte) error, f fences, n int, object []byte) {
	t.Helper()
	for _, high := range []bool{false, true} {
		src, dst := f.packed.put(object, high), f.back.take(n, high)
		if err := decompress(dst, src); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%v: an error that is not ErrCorrupt: %v", id, err)
		}
		if !f.back.intact() || !f.packed.intact() || !bytes.Equal(src, object) {
			t.Fatalf("%v: a damaged object of %d bytes for a page of %d wrote outside dst: % x", id, len(object), n, object)
		}
	}
}

// TestCorrupt cuts objects at every length, flips every bit, and asks for pages of another length.
func TestCorrupt(t *testing.T) {
	near, wide, d := newFences(t, 4096), newFences(t, MaxPage), NewDecoders()
	for _, name := range []string{"lz4", "lz4hc", "s2", "minlz", "minlz:0", "minlz:2", "zstd", "zstd:6"} {
		c := mustNew(t, name)
		decompress := func(dst, src []byte) error { return d.Decompress(c.ID(), dst, src) }
		for _, k := range pageKinds {
			page := makePage(k.fill, 700)
			object := make([]byte, c.MaxLen(len(page)))
			object = object[:c.Compress(object, page)]
			for n := range object {
				tryDamaged(t, c.ID(), decompress, near, len(page), object[:n])
			}
			for bit := range len(object) * 8 {
				object[bit/8] ^= 1 << (bit % 8)
				tryDamaged(t, c.ID(), decompress, near, len(page), object)
				object[bit/8] ^= 1 << (bit % 8)
			}
			for _, n := range []int{0, 1, 699, 701, 4096, MaxPage} {
				if err := decompress(wide.back.take(n, true), object); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %s: a page of 700 bytes went into %d: %v", name, k.name, n, err)
				}
			}
		}
	}
}

// TestDecodersRaw: a raw object is the page, and an ID that is no format is damage.
func TestDecodersRaw(t *testing.T) {
	d, page := NewDecoders(), makePage(fillText, 4096)
	dst := make([]byte, len(page))
	if err := d.Decompress(Raw, dst, page); err != nil || !bytes.Equal(dst, page) {
		t.Errorf("raw: %v", err)
	}
	if err := d.Decompress(Raw, dst, page[1:]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("raw, one byte short: %v", err)
	}
	for id := Zstd + 1; id < 16; id++ {
		if err := d.Decompress(id, dst, page); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: %v", id, err)
		}
	}
}
