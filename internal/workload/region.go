package workload

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// memory is a thread's part of the region. Only that thread uses it, pinned to its OS thread.
type memory interface {
	// access returns page i of the part, resident, until the next access. Reading it is what a touch times.
	access(i int) ([]byte, error)
	// written says that the page that access returned last was changed.
	written()
	// faults returns how many accesses of this thread had to wait for swap so far.
	faults() int64
	close() error
}

// region is anonymous memory, which the kernel swaps as it likes.
type region struct {
	mem  []byte
	sink uint64
	use  unix.Rusage
}

func newRegion(pages int) (*region, error) {
	mem, err := unix.Mmap(-1, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("workload: map %d pages: %w", pages, err)
	}
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // fails where the kernel has no huge pages
	return &region{mem: mem}, nil
}

func (r *region) access(i int) ([]byte, error) {
	page := r.mem[i*pageSize : (i+1)*pageSize : (i+1)*pageSize]
	r.sink += binary.NativeEndian.Uint64(page)
	return page, nil
}

func (r *region) written() {}

// faults asks the kernel, which takes 0.2 µs: cheap next to a fault, and exact. A threshold on the time would take
// an interrupt for a fault.
func (r *region) faults() int64 {
	if unix.Getrusage(unix.RUSAGE_THREAD, &r.use) != nil {
		return 0
	}
	return r.use.Majflt
}

func (r *region) close() error { return unix.Munmap(r.mem) }
