package pagegen

// sorts is how many fields of 256 are of each sort; the rest is zero.
type sorts struct {
	constant int // pointers to one of the few objects that many share: null, undefined, the empty list
	near     int // pointers to what was allocated together with the object
	far      int // pointers anywhere in the region
	few      int // pointers to one of eight objects
	count    int // ids, sequence numbers
	small    int // lengths, flags
	double   int // floating-point numbers from 0.5 to 1
	text     int // characters and digits
}

// What the figures imitate, and how well, is in TestRatios.
var (
	java = newHeap(heap{base: 0xf000_0000, copies: 1<<32 + 1, stray: 12},
		sorts{constant: 60, near: 36, far: 11, few: 6, count: 10, small: 12, text: 3})
	node = newHeap(heap{base: 0x237_3c00_0000, copies: 1, stray: 6},
		sorts{constant: 70, near: 70, far: 8, few: 6, count: 16, small: 20, double: 4, text: 6})
	python = newHeap(heap{base: 0x7f0a_2700_0000, copies: 1, stray: 6, counted: true},
		sorts{constant: 60, near: 66, far: 9, few: 7, count: 20, small: 20, double: 5, text: 7})
)

// newHeap gives h its shapes: a header and 2 to 12 more words each.
func newHeap(h heap, s sorts) *heap {
	r := random(h.base)
	var shared [16]uint64
	for i := range shared {
		shared[i] = h.base + r.next()&0x3ffff8
	}
	for i := range h.shapes {
		add := func(f field) { h.shapes[i].fields[h.shapes[i].n] = f; h.shapes[i].n++ }
		if h.counted {
			add(field{add: 1})
		}
		add(field{add: h.base + r.next()&0x3fff8}) // the class
		for range 2 + r.below(8) + r.below(4) {
			f := s.draw(&r, &shared)
			if h.copies != 1 {
				f = join(f, s.draw(&r, &shared))
			}
			add(f)
		}
	}
	return &h
}

// draw makes a field of a random sort.
func (s *sorts) draw(r *random, shared *[16]uint64) field {
	v := r.next()
	n := int(v & 0xff)
	is := func(share int) bool { n -= share; return n < 0 }
	v >>= 32
	switch {
	case is(s.constant):
		return field{add: shared[zipf(v, len(shared))]}
	case is(s.near):
		return field{near: ^uint64(0), add: v & 0x1f8}
	case is(s.far):
		return field{near: ^uint64(0xfffff), random: 0xffff8}
	case is(s.few):
		return field{near: ^uint64(0xfff), random: 0x38, add: v & 0xf80}
	case is(s.count):
		return field{add: v & 0xff, count: 0xffff}
	case is(s.small):
		return field{small: 0xff >> (v & 7)}
	case is(s.double):
		return field{add: 0x3fe0_0000_0000_0000, random: 0x000f_ffff_ffff_ffff}
	case is(s.text):
		return field{add: 0x3030_3030_6165_6c70 + v&0x0303_0303, random: 0x0307_0707 << 32}
	}
	return field{}
}

// join makes one word of two fields of four bytes.
func join(lo, hi field) field {
	const half = 1<<32 - 1
	return field{
		add:    lo.add&half | hi.add<<32,
		near:   lo.near&half | hi.near<<32,
		count:  lo.count&half | hi.count<<32,
		random: lo.random&half | hi.random<<32,
		small:  lo.small&half | hi.small<<32,
	}
}
