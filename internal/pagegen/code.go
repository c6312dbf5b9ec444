package pagegen

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// forms are x86-64 instructions, common ones first. Of a byte that varies, r is a register-to-register operand,
// m an operand in memory, s a small number, d a displacement, x any byte.
const forms = `48 8b 44 24 s,48 89 44 24 s,48 89 r,48 8b m s,48 8b m,48 8d 3d x x d 00,e8 x x d ff,e8 x x d 00,74 s,75 s,48 85 r,85 r,
0f 84 x s 00 00,0f 85 x s 00 00,48 89 m s,31 r,48 83 c4 s,48 83 ec s,5b 5d 41 5c,c3 0f 1f 40 00,41 57 41 56,41 55 41 54,55 53,
48 8b m x s 00 00,48 8d m s,83 r s,4c 89 r,4c 8b m s,0f b6 m s,e9 x x d ff,eb s,48 39 r,48 3b m s,48 83 m s 00,
be s 00 00 00,bf s 00 00 00,ba s 00 00 00,b8 x s 00 00,66 0f 1f 44 00 00,0f 1f 84 00 00 00 00 00,c7 m s s 00 00 00,48 01 r,48 29 r,
48 c1 r s,0f 11 m s,0f 10 m s,f3 0f 6f m s,66 0f ef r,48 8b 05 x x d 00,48 8b 0d x x d 00,48 89 d8,48 89 ef,4c 89 e7,41 89 r,
44 89 r,45 31 r,0f 95 r,0f 94 r,80 m s 00,f6 m s s,48 63 r,49 89 r,49 8b m s,49 83 r s,48 0f 44 r,48 c7 m s 00 00 00,ff m s,48 98`

// form is an instruction of at most 8 bytes, as a little-endian word.
type form struct {
	add, random, small uint64 // fixed bits; bits at random; bits at random, each set in one case of four
	n                  int    // bytes
}

var instructions = newInstructions()

func newInstructions() (list []form) {
	for text := range strings.SplitSeq(strings.ReplaceAll(forms, "\n", ""), ",") {
		var f form
		for i, b := range strings.Fields(text) {
			set := func(add, random, small uint64) {
				f.add, f.random, f.small = f.add|add<<(8*i), f.random|random<<(8*i), f.small|small<<(8*i)
			}
			switch b {
			case "r":
				set(0xc0, 0x3f, 0)
			case "m":
				set(0x40, 0x3f, 0)
			case "s":
				set(0, 0x18, 0xe0)
			case "d":
				set(0, 0x07, 0x18)
			case "x":
				set(0, 0xff, 0)
			default:
				set(unhex(b[0])<<4|unhex(b[1]), 0, 0)
			}
			f.n = i + 1
		}
		list = append(list, f)
	}
	return list
}

func unhex(digit byte) uint64 { return uint64(strings.IndexByte("0123456789abcdef", digit)) }

// fillCode writes instructions, and now and then a sequence that occurred before.
func fillCode(page *[PageSize]byte, theme, r random) {
	const longest = 32                      // bytes of a repeated sequence
	repeats := 20 + zipf(theme.next(), 170) // sequences in 256 steps
	turn := int(theme.next() & 7)           // a compiler's favourites
	n := 0
	for n < PageSize-longest {
		v := r.next()
		if int(v&0xff) < repeats && n > longest {
			from := int(v >> 32 * uint64(n-longest) >> 32)
			*(*[longest]byte)(page[n:]) = *(*[longest]byte)(page[from:])
			n += 8 + int(v>>8&15)
			continue
		}
		n = instructions[zipf(v>>32, len(instructions)-8)+turn].put(page, n, r.next())
		n = instructions[zipf(v, len(instructions)-8)+turn].put(page, n, r.next())
	}
	copy(page[n:], page[:PageSize-n])
}

func (f *form) put(page *[PageSize]byte, n int, v uint64) int {
	binary.LittleEndian.PutUint64(page[n:], f.add+v&f.random+v&bits.RotateLeft64(v, 23)&f.small)
	return n + f.n
}
