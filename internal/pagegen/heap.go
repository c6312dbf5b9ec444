package pagegen

import (
	"encoding/binary"
	"math/bits"
)

// field is how one 8-byte word of an object varies. Its value is the sum of five parts, all of them optional, so that
// no branch is taken on the kind of a field.
type field struct {
	add    uint64 // constant: headers, class pointers, characters
	near   uint64 // these bits of the object's address: pointers into the neighbourhood
	count  uint64 // these bits of the object's running number: ids, sequence numbers
	random uint64 // these bits at random
	small  uint64 // these bits at random, each set in one object of four: lengths, flags, small integers
}

const (
	maxFields = 16 // of a shape
	shapes    = 96 // of a heap
	cycled    = 8  // objects after which a theme starts again
)

// shape is a class of objects.
type shape struct {
	fields [maxFields]field
	n      int // fields in use
}

// heap is a program's memory: its shapes, and where it lies.
type heap struct {
	base    uint64 // address of the lowest object
	copies  uint64 // multiplies addresses and numbers: 1, or 1<<32 + 1 for fields of 4 bytes
	stray   uint64 // objects in 256 that are of a random shape, not the next of the cycle
	counted bool   // objects start with a reference count
	shapes  [shapes]shape
}

// fill writes objects of the theme's shapes until the page is full. The first one is cut off at its front, as the last one is at its end.
func (h *heap) fill(page *[PageSize]byte, theme, r random) {
	var some, cycle [cycled]*shape
	for i := range some {
		some[i] = &h.shapes[theme.below(shapes)]
	}
	favoured := 1 + theme.below(cycled-1)
	for i := range cycle {
		cycle[i] = some[theme.below(favoured)]
	}
	region := h.base + theme.next()&0xff<<20
	first := r.next()
	address := region + first&0xff<<12
	number := first >> 40 & 0xffff
	skip := int(first >> 8 & 3)
	for n, turn := 0, first>>16; n < PageSize; turn++ {
		s := cycle[turn%cycled]
		if v := r.next(); v&0xff < h.stray {
			s = some[v>>8%cycled]
		}
		fields := s.fields[min(skip, s.n):s.n]
		skip = 0
		a, c := (address+uint64(n))*h.copies, number*h.copies
		number++
		for i := range fields {
			f := &fields[i]
			v := r.next()
			word := f.add + a&f.near + c&f.count + v&f.random + v&bits.RotateLeft64(v, 23)&f.small
			if n == PageSize {
				return
			}
			binary.LittleEndian.PutUint64(page[n:], word)
			n += 8
		}
	}
}
