package zram

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// BatchPages is how many pages one system call should carry to show zram at its best: larger calls gain nothing.
const BatchPages = 64

// NewBuffer returns memory for n pages, resident and aligned as direct I/O needs it, in huge pages where the system has
// them: a benchmark of what is done to the pages should not wait for their addresses. Give it back with FreeBuffer.
func NewBuffer(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n*PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("zram: a buffer of %d pages: %w", n, err)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a wish
	if err := unix.Madvise(b, unix.MADV_POPULATE_WRITE); err != nil {
		return nil, fmt.Errorf("zram: a buffer of %d pages: %w", n, errors.Join(err, unix.Munmap(b)))
	}
	return b, nil
}

// FreeBuffer unmaps what NewBuffer returned.
func FreeBuffer(b []byte) error { return unix.Munmap(b) }

// WritePages stores whole pages, from page first on, in one system call if the kernel lets it. pages lies in
// memory from NewBuffer, at a multiple of PageSize.
func (d *Device) WritePages(first int64, pages []byte) error {
	return d.each("write", unix.Pwrite, first, pages)
}

// ReadPages loads whole pages, from page first on, as WritePages stores them. What was never written is zero.
func (d *Device) ReadPages(first int64, pages []byte) error {
	return d.each("read", unix.Pread, first, pages)
}

// Discard frees pages, which then read as zeros. The device must not be swapped to.
func (d *Device) Discard(first, n int64) error {
	if first < 0 || n < 0 || first > d.pages-n {
		panic(fmt.Sprintf("zram: discard %d pages at page %d of %d", n, first, d.pages))
	}
	if n == 0 {
		return nil
	}
	const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Fallocate(int(d.file.Fd()), hole, first*PageSize, n*PageSize)
	}
	if err != nil {
		return fmt.Errorf("zram: discard %s, page %d: %w", d.Path(), first, err)
	}
	return nil
}

func (d *Device) each(what string, call func(fd int, p []byte, offset int64) (int, error), first int64, pages []byte) error {
	count := int64(len(pages) / PageSize)
	if len(pages)%PageSize != 0 || first < 0 || first+count > d.pages {
		panic(fmt.Sprintf("zram: %s %d bytes at page %d of %d", what, len(pages), first, d.pages))
	}
	fd := int(d.file.Fd())
	for offset := first * PageSize; len(pages) > 0; {
		n, err := call(fd, pages, offset)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("zram: %s %s, page %d: %w", what, d.Path(), offset/PageSize, err)
		}
		offset += int64(n)
		pages = pages[n:]
	}
	return nil
}

// Compact makes the kernel compact the device's pool, all of it. Stats tells how many pages that freed.
func (d *Device) Compact() error {
	if err := d.write("compact", "1"); err != nil {
		return fmt.Errorf("zram: compact %s: %w", d.Path(), err)
	}
	return nil
}
