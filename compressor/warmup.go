package compressor

import "math/rand/v2"

// warmUp sends pages of every size class through a codec, so that its buffers have their full size before the first page
// that matters. Encoders keep two of some tables and swap them from page to page, hence the rounds.
func warmUp(c Codec) {
	page, dst := make([]byte, MaxPage), make([]byte, c.MaxLen(MaxPage))
	for _, fill := range []func([]byte){
		fillRandom, fillMostlyRandom, fillSevenBit, fillChunks(4), fillChunks(5), fillChunks(6), fillChunks(7), fillCopies,
	} {
		fill(page)
		for range 3 {
			for n := MaxPage; n >= 16; n /= 2 {
				c.Compress(dst, page[:n])
			}
		}
	}
}

// warmTables does so for codecs that have no buffers of their own: what they take from their library's pools is a table that goes
// by the length of the page alone.
func warmTables(c Codec) {
	page, dst := make([]byte, MaxPage), make([]byte, c.MaxLen(MaxPage))
	fillCopies(page)
	for n := MaxPage; n >= 16; n /= 2 {
		c.Compress(dst, page[:n])
	}
}

// fillRandom: all literals, nothing to gain.
func fillRandom(p []byte) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

// fillSevenBit: all literals, worth an entropy coder.
func fillSevenBit(p []byte) {
	fillRandom(p)
	for i := range p {
		p[i] &= 0x7f
	}
}

// fillMostlyRandom: a match, and then as many literals as there can be that no entropy coder makes shorter.
func fillMostlyRandom(p []byte) {
	clear(p)
	fillRandom(p[len(p)/32:])
}

// fillChunks: chunks of n bytes from a set of 256, in random order. No page has more matches of n bytes.
func fillChunks(n int) func([]byte) {
	return func(p []byte) {
		chunks := make([]byte, 256*n)
		fillSevenBit(chunks)
		r := rand.New(rand.NewPCG(2, 2))
		for len(p) > 0 {
			i := r.IntN(256) * n
			p = p[copy(p, chunks[i:i+n]):]
		}
	}
}

// fillCopies: literals worth an entropy coder, and copies of all lengths from all distances between them.
func fillCopies(p []byte) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := 0; i < len(p); {
		for lits := 1 << r.IntN(6); lits > 0 && i < len(p); lits-- {
			p[i] = byte(r.IntN(64) & r.IntN(128))
			i++
		}
		length, distance := 4+r.IntN(4<<r.IntN(6)), 1+r.IntN(min(1<<r.IntN(16), i))
		for ; length > 0 && i < len(p); length-- {
			p[i] = p[i-distance]
			i++
		}
	}
}
