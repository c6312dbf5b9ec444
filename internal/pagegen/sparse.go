package pagegen

import "encoding/binary"

// fillSparse writes a hash table or an array that was made larger than it needs to be: islands in zeros.
func fillSparse(page *[PageSize]byte, theme, r random) {
	clear(page[:])
	region := 0x7f0a_2700_0000 + theme.next()&0xff<<20
	islands := 1 + theme.below(84)
	for range islands {
		v := r.next()
		at, n := int(v&0x1ff), int(v>>9&3)
		for i := at; i <= min(at+n, PageSize/8-1); i++ {
			v = r.next()
			binary.LittleEndian.PutUint64(page[8*i:], region+v&0xfff8)
		}
	}
}

func fillRandom(page *[PageSize]byte, r random) {
	for n := 0; n < PageSize; n += 8 {
		binary.LittleEndian.PutUint64(page[n:], r.next())
	}
}

func fillSame(page *[PageSize]byte, r random) {
	word := r.next()
	if word>>61 != 0 {
		word = 0
	}
	for n := 0; n < PageSize; n += 8 {
		binary.LittleEndian.PutUint64(page[n:], word)
	}
}
