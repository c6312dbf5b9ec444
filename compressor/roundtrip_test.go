package compressor

import (
	"bytes"
	"fmt"
	"testing"
)

// allNames is Names and the levels that are taken but not offered.
func allNames() []string { return append(Names(), "lz4hc:9", "minlz:3", "zstd:22") }

func mustNew(t testing.TB, name string) Codec {
	t.Helper()
	c, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fences are the memory of one round trip; all four slices end or begin at a page that may not be touched.
type fences struct{ page, object, packed, back *fence }

// newFences is for pages up to size bytes.
func newFences(t testing.TB, size int) fences {
	return fences{newFence(t, size), newFence(t, 2*size+512), newFence(t, size), newFence(t, size)}
}

// roundTrip compresses page with c and decompresses with c and with d, at both edges of the fences. It returns the
// object's length, 0 for a page to be kept as it is.
func roundTrip(c Codec, d *Decoders, f fences, page []byte) (n int, err error) {
	for _, high := range []bool{false, true} {
		src := f.page.put(page, high)
		dst := f.object.take(c.MaxLen(len(page)), high)
		n = c.Compress(dst, src)
		if !f.object.intact() || !bytes.Equal(src, page) || !f.page.intact() {
			return n, fmt.Errorf("Compress touched what is not its own")
		}
		if n < 0 || n >= len(page) {
			return n, fmt.Errorf("object of %d bytes", n)
		}
		if n == 0 {
			continue
		}
		object := bytes.Clone(dst[:n])
		for who, decompress := range map[string]func(dst, src []byte) error{
			"codec":    c.Decompress,
			"decoders": func(dst, src []byte) error { return d.Decompress(c.ID(), dst, src) },
		} {
			src, back := f.packed.put(object, high), f.back.take(len(page), high)
			if err := decompress(back, src); err != nil {
				return n, fmt.Errorf("%s: %w", who, err)
			}
			if !bytes.Equal(back, page) {
				return n, fmt.Errorf("%s: other bytes came back", who)
			}
			if !f.back.intact() || !f.packed.intact() || !bytes.Equal(src, object) {
				return n, fmt.Errorf("%s: Decompress touched what is not its own", who)
			}
		}
	}
	return n, nil
}

func TestRoundTrip(t *testing.T) {
	f, d := newFences(t, MaxPage), NewDecoders()
	for _, name := range allNames() {
		c := mustNew(t, name)
		for _, k := range pageKinds {
			for _, size := range []int{1, 2, 7, 15, 16, 17, 64, 255, 256, 1000, 4095, 4096, 16384, 65535, 65536} {
				n, err := roundTrip(c, d, f, makePage(k.fill, size))
				if err != nil {
					t.Errorf("%s: %s, %d bytes: %v", name, k.name, size, err)
				}
				if n == 0 && k.name == "zero" && size >= 256 && c.ID() != Raw {
					t.Errorf("%s: %d zero bytes did not get shorter", name, size)
				}
				if n != 0 && (k.name == "random" && size <= 4096 || c.ID() == Raw) {
					t.Errorf("%s: %d bytes of %s became %d", name, size, k.name, n)
				}
			}
		}
	}
}

// TestFormatShared: what one codec of a format writes, every other of that format reads.
func TestFormatShared(t *testing.T) {
	var codecs []Codec
	for _, name := range allNames() {
		codecs = append(codecs, mustNew(t, name))
	}
	page := makePage(fillJSON, 4096)
	for _, w := range codecs {
		object := make([]byte, w.MaxLen(len(page)))
		object = object[:w.Compress(object, page)]
		for _, r := range codecs {
			back := make([]byte, len(page))
			if r.ID() != w.ID() || len(object) == 0 {
				continue
			}
			if err := r.Decompress(back, object); err != nil || !bytes.Equal(back, page) {
				t.Errorf("%s cannot read what %s wrote: %v", r.Name(), w.Name(), err)
			}
		}
	}
}

// TestRoomPanics: too little room and impossible pages are programming errors.
func TestRoomPanics(t *testing.T) {
	for _, name := range allNames() {
		c := mustNew(t, name)
		for what, call := range map[string]func(){
			"empty page":    func() { c.Compress(make([]byte, 1024), nil) },
			"page too long": func() { c.Compress(make([]byte, 4*MaxPage), make([]byte, MaxPage+1)) },
			"dst too short": func() { c.Compress(make([]byte, max(c.MaxLen(4096), 1)-1), make([]byte, 4096)) },
		} {
			if c.ID() == Raw && what == "dst too short" {
				continue // it needs none
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s: no panic", name, what)
					}
				}()
				call()
			}()
		}
	}
}
