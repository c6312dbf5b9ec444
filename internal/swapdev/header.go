package swapdev

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	// PageSize is the only page size we know how to serve, in bytes.
	PageSize = 4096
	// MinPages is the smallest device, header page included: what mkswap allows.
	MinPages = 10
	// MaxPages is the largest: the header holds the number of the last page in 32 bits.
	MaxPages = 1 << 32
	// MaxLabel is the longest label in bytes: the field has 16 and readers want it terminated.
	MaxLabel = 15
)

// Offsets in the header page, from the kernel's description of its layout (union swap_header).
// The first KiB is left for boot loaders and disk labels.
const (
	headerVersion  = 1024
	headerLastPage = 1028
	headerUUID     = 1036
	headerVolume   = 1052
	headerMagic    = PageSize - len(swapMagic)
	swapMagic      = "SWAPSPACE2"
)

// Header returns page 0 of a swap device of so many pages (this one included), with a random UUID.
// The caller stores it before SwapOn. The label may be empty.
func Header(pages uint64, label string) (page [PageSize]byte, err error) {
	if pages < MinPages || pages > MaxPages {
		return page, fmt.Errorf("swapdev: a swap device of %d pages: want %d to %d", pages, MinPages, uint64(MaxPages))
	}
	if len(label) > MaxLabel || strings.ContainsRune(label, 0) {
		return page, fmt.Errorf("swapdev: label %q: want at most %d bytes, none of them zero", label, MaxLabel)
	}
	binary.NativeEndian.PutUint32(page[headerVersion:], 1)
	binary.NativeEndian.PutUint32(page[headerLastPage:], uint32(pages-1))
	uuid := page[headerUUID : headerUUID+16]
	_, _ = rand.Read(uuid)        // it cannot fail: crypto/rand stops the program instead
	uuid[6] = uuid[6]&0x0f | 4<<4 // version 4: random
	uuid[8] = uuid[8]&0x3f | 2<<6 // variant of RFC 9562
	copy(page[headerVolume:], label)
	copy(page[headerMagic:], swapMagic)
	return page, nil
}
