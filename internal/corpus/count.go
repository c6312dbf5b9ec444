package corpus

import (
	"bytes"
	"crypto/sha256"
)

// Counts says what a corpus is made of, in pages.
type Counts struct {
	Pages      int64
	SameFilled int64 // that repeat one 8-byte pattern
	Duplicates int64 // that are equal to an earlier one, same-filled ones aside
}

// Count looks at whole pages.
func Count(pages []byte) (c Counts) {
	seen := map[[sha256.Size]byte]bool{}
	for ; len(pages) >= PageSize; pages = pages[PageSize:] {
		page := pages[:PageSize]
		c.Pages++
		if SameFilled(page) {
			c.SameFilled++
			continue
		}
		sum := sha256.Sum256(page)
		if seen[sum] {
			c.Duplicates++
		}
		seen[sum] = true
	}
	return c
}

// SameFilled reports whether a page repeats one 8-byte pattern.
func SameFilled(page []byte) bool { return bytes.Equal(page[8:], page[:len(page)-8]) }
