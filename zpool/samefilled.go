package zpool

import (
	"bytes"
	"encoding/binary"
)

// sameFilled reports whether a page repeats one 8-byte pattern, and returns it (zram's page_same_filled).
func sameFilled(page []byte) (pattern uint64, ok bool) {
	pattern = binary.LittleEndian.Uint64(page)
	if pattern != binary.LittleEndian.Uint64(page[PageSize-8:]) || !bytes.Equal(page[8:], page[:PageSize-8]) {
		return 0, false
	}
	return pattern, true
}

// fillPage repeats a pattern over a page.
func fillPage(page []byte, pattern uint64) {
	if pattern == 0 {
		clear(page)
		return
	}
	binary.LittleEndian.PutUint64(page, pattern)
	for n := 8; n < len(page); n *= 2 {
		copy(page[n:], page[:n])
	}
}
