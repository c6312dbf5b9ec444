package capture

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageRegion is the kernel's struct page_region.
type pageRegion struct{ start, end, categories uint64 } // addresses

// pageScan is the kernel's struct pm_scan_arg.
type pageScan struct {
	size, flags, start, end, walkEnd, regions, count, maxPages uint64
	inverted, mask, anyOf, result                              uint64
}

const (
	pagemapScan = 0xc0606610  // PAGEMAP_SCAN
	hasContent  = 1<<3 | 1<<4 // PAGE_IS_PRESENT, PAGE_IS_SWAPPED
)

// populated fills regions with the first ones, between two addresses, that have pages in memory or swapped out, and returns how many
// they are and up to where it looked. It costs next to nothing where there are no pages. Before Linux 6.7 it is an error.
func populated(pagemap *os.File, start, end uint64, regions []pageRegion) (n int, next uint64, err error) {
	var pin runtime.Pinner // the kernel is given the address as a number, which does not move with what it is of
	defer pin.Unpin()
	pin.Pin(&regions[0])
	arg := &pageScan{
		start: start, end: end, regions: uint64(uintptr(unsafe.Pointer(&regions[0]))), count: uint64(len(regions)), anyOf: hasContent, result: hasContent,
	}
	arg.size = uint64(unsafe.Sizeof(*arg))
	for {
		got, _, errno := unix.Syscall(unix.SYS_IOCTL, pagemap.Fd(), pagemapScan, uintptr(unsafe.Pointer(arg)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, start, errno
		}
		return int(got), arg.walkEnd, nil
	}
}
