package capture

import (
	"encoding/binary"
	"os"
)

// entry is a page's word in /proc/PID/pagemap.
type entry uint64

const (
	entryBytes = 8
	present    = 1 << 63
	swapped    = 1 << 62 // or a mark of the kernel's
	ofFile     = 1 << 61 // or of shared memory
	guard      = 1 << 58 // such a mark: MADV_GUARD_INSTALL
	exclusive  = 1 << 56 // nobody else has it mapped
	frameMask  = 1<<55 - 1
)

// anonymous reports whether the page is in memory, belongs to no file and no shared memory. The zero page passes.
func (e entry) anonymous() bool { return e&(present|ofFile) == present }

// swapped reports whether the page is swapped out.
func (e entry) swapped() bool { return e&(present|swapped|guard) == swapped }

// place returns where a swapped page is: in which swap area and where in that; 0 where the kernel does not tell us.
func (e entry) place() uint64 { return uint64(e & frameMask) }

// frame returns the number of the page's frame; 0 where the kernel does not tell us.
func (e entry) frame() uint64 { return uint64(e & frameMask) }

// entries reads the words of pages from first on; buf says how many. Fewer come back at the end of memory, and none
// once the process has ended.
func entries(pagemap *os.File, first uint64, buf []byte) []byte {
	n, _ := pagemap.ReadAt(buf, int64(first*entryBytes))
	return buf[:n/entryBytes*entryBytes]
}

func entryAt(buf []byte, i int) entry { return entry(binary.LittleEndian.Uint64(buf[i*entryBytes:])) }
