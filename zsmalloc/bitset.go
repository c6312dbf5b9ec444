package zsmalloc

import (
	"iter"
	"math/bits"
)

// bitset is a set of small numbers.
type bitset []uint64

// grow makes room for i.
func (b *bitset) grow(i int) {
	for i/64 >= len(*b) {
		*b = append(*b, 0)
	}
}

// has reports whether i is in the set. The others need room for i.
func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) clear(i int)    { b[i/64] &^= 1 << (i % 64) }

// span returns the part of the set that has n numbers from 64 times first on.
func (b bitset) span(first uint32, n int) bitset { return b[first:][:(n+63)/64] }

func (b bitset) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// top returns the largest number in the set, or -1.
func (b bitset) top() int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0 {
			return i*64 + bits.Len64(b[i]) - 1
		}
	}
	return -1
}

// without goes through the numbers that are not in o, which has room for as many.
func (b bitset) without(o bitset) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range b {
			for w &^= o[i]; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
