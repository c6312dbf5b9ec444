package pagegen

import "encoding/binary"

const (
	valueBytes  = 200                 // of a record
	recordBytes = valueBytes + 3*8    // with its header, and up to the next place that the allocator gives out
	entryBytes  = 32                  // of a table's entry, or of a key
	redisBase   = 0x7f3f_3640_0000    // where the heap lies
	keyPrefix   = "\xa0element:00000" // a length, and what all keys begin with
)

// fillRedis writes a page of a store of keys and values: most pages are full of records that differ little, some hold
// keys and the entries that lead to them, few are tables of pointers.
func fillRedis(page *[PageSize]byte, theme, r random) {
	switch v := r.next(); {
	case v&0xff < 34:
		fillEntries(page, theme, r)
	case v&0xff < 39:
		fillTable(page, theme, r)
	default:
		fillRecords(page, theme, r)
	}
}

// fillRecords writes one record after the other; the first is cut off at its front. One of them is new.
func fillRecords(page *[PageSize]byte, theme, r random) {
	var record [recordBytes]byte
	copy(record[:], "\xc8\xdc\x01")
	for n := 3; n < 3+valueBytes; n += 8 {
		const low, ascii = 0x3f3f_3f3f_3f3f_3f3f, 0x3030_3030_3030_3030
		binary.LittleEndian.PutUint64(record[n:], theme.next()&low+ascii)
	}
	n := copy(page[:], record[r.below(recordBytes/8)*8:])
	for n < PageSize {
		n += copy(page[n:], record[:])
	}
	binary.LittleEndian.PutUint64(page[r.below(PageSize/8)*8:], r.next())
}

// fillEntries writes keys, and entries with a pointer to one and to the next entry.
func fillEntries(page *[PageSize]byte, theme, r random) {
	region := redisBase + theme.next()&0xf<<20
	for n := 0; n < PageSize; n += entryBytes {
		e := (*[entryBytes]byte)(page[n:])
		clear(e[:])
		v := r.next()
		if v>>60 < 8 {
			copy(e[:], keyPrefix)
			for i := range 6 {
				e[len(keyPrefix)+i] = '0' + byte(v>>(8*i)&0xff*10>>8)
			}
			continue
		}
		binary.LittleEndian.PutUint64(e[0:], region+v&0x1ffe0+1)
		binary.LittleEndian.PutUint64(e[8:], region+v>>20&0x1ffe0+3)
		if v>>56&3 == 0 {
			binary.LittleEndian.PutUint64(e[16:], region+v>>30&0x1ffe0)
		}
	}
}

// fillTable writes pointers to entries, and nothing where there is none.
func fillTable(page *[PageSize]byte, theme, r random) {
	region := redisBase + theme.next()&0xf<<20
	for n := 0; n < PageSize; n += 8 {
		v := r.next()
		if v>>62 == 0 {
			v = 0
		} else {
			v = region + v&0x1ff_ffe0
		}
		binary.LittleEndian.PutUint64(page[n:], v)
	}
}
