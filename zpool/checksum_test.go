package zpool

import (
	"math/bits"
	"testing"
)

// Up to five flipped bits in the pattern and the check of a same-filled page's word are found, whichever they are. The
// check of two patterns differs by that of their difference, so it is enough to look at what could be flipped.
func TestPatternCheckFindsFiveBits(t *testing.T) {
	fold := func(pattern uint32) uint16 { return patternCheck(77, pattern) ^ patternCheck(77, 0) }
	if a, b := uint32(0x12345678), uint32(0x9abcdef1); fold(a)^fold(b) != fold(a^b) {
		t.Fatal("the check is not linear")
	}
	var flip func(pattern uint32, from, left int)
	flip = func(pattern uint32, from, left int) {
		if n := bits.OnesCount16(fold(pattern)); pattern != 0 && n <= left {
			t.Fatalf("pattern bits %#x and %d bits of the check", pattern, n)
		}
		for bit := from; bit < 32 && left > 0; bit++ {
			flip(pattern^1<<bit, bit+1, left-1)
		}
	}
	flip(0, 0, 5)
}

// No slot's word checks in another slot near it.
func TestPatternCheckTellsSlotsApart(t *testing.T) {
	for _, high := range []uint64{0, 5 << 16, (MaxSlots - 1) &^ (1<<16 - 1)} {
		seen := map[uint16]uint64{}
		for slot := high; slot < high+1<<16; slot++ {
			check := patternCheck(slot, 0xdeadbeef)
			if other, ok := seen[check]; ok {
				t.Fatalf("slots %d and %d have the same check", other, slot)
			}
			seen[check] = slot
		}
	}
	if patternCheck(3, 1) == patternCheck(3+1<<16, 1) {
		t.Error("a slot 256 MiB further has the same check")
	}
}

func BenchmarkPatternCheck(b *testing.B) {
	var sum uint16
	for i := range b.N {
		sum += patternCheck(uint64(i), uint32(i)*0x9e3779b9)
	}
	_ = sum
}
