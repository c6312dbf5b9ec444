package pagegen

import "math/bits"

// random is wyrand: one multiplication for 64 bits, and any state is a good one.
type random uint64

const (
	wyrand0 = 0x2d358dccaa6c78a5
	wyrand1 = 0x8bb84b93962eacc9
)

func (r *random) next() uint64 {
	*r += wyrand0
	hi, lo := bits.Mul64(uint64(*r), uint64(*r)^wyrand1)
	return hi ^ lo
}

// below returns a number from 0 to n-1; n is less than 2^32.
func (r *random) below(n int) int { return int(r.next() >> 32 * uint64(n) >> 32) }

// mix returns a number that looks random in a and b, so that neighbours do not resemble each other.
func mix(a, b uint64) uint64 {
	r := random(a ^ bits.RotateLeft64(b*wyrand1, 32))
	r = random(r.next() ^ b)
	return r.next()
}

// zipf maps 32 random bits to a rank below n; low ranks come more often, as words do in a text.
func zipf(u uint64, n int) int {
	u &= 1<<32 - 1
	cube := u * u >> 32 * u >> 32
	return int(cube * uint64(n) >> 32)
}
