package backing

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// disk is what the file is read and written by. Offsets, lengths and memory are aligned as the file system wants it.
type disk interface {
	readAt(b []byte, off int64) error // all of it
	writeAt(b []byte, off int64) error
	sync() error
	punch(off, n int64) error
	free() (int64, error) // bytes that the file system has left for others and us
}

// fileDisk is a regular file or a block device.
type fileDisk struct {
	fd     int
	device bool
	direct bool // past the page cache
}

func (d *fileDisk) readAt(b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(d.fd, b, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

func (d *fileDisk) writeAt(b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(d.fd, b, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

func (d *fileDisk) sync() error {
	for {
		err := unix.Fdatasync(d.fd)
		if err == nil && !d.direct { // the page cache is memory that the pages were to leave
			_ = unix.Fadvise(d.fd, 0, 0, unix.FADV_DONTNEED)
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// punch gives back what a range takes. Where that is not possible it does nothing.
func (d *fileDisk) punch(off, n int64) error {
	for {
		err := unix.Fallocate(d.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch {
		case err == unix.EINTR:
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		default:
			return err
		}
	}
}

func (d *fileDisk) free() (int64, error) {
	if d.device {
		return math.MaxInt64, nil
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// first is the first extent that may be written.
func (d *fileDisk) first() int {
	if d.device {
		return headBytes / ExtentBytes
	}
	return 0
}

// identity tells one file from another while the machine runs.
type identity struct{ device, inode uint64 }

// look returns what a file is. Files that cannot be one of ours are an error, which is none of the system's.
func look(f *os.File) (d *fileDisk, id identity, size int64, block int, err error) {
	var st unix.Stat_t
	fd := int(f.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, id, 0, 0, err
	}
	d = &fileDisk{fd: fd}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		id, size = identity{st.Dev, st.Ino}, st.Size
	case unix.S_IFBLK:
		d.device = true
		id = identity{st.Rdev, 0}
		if size, err = unix.Seek(fd, 0, io.SeekEnd); err != nil {
			return nil, id, 0, 0, err
		}
	default:
		return nil, id, 0, 0, fmt.Errorf("neither a regular file nor a block device (mode %#o)", st.Mode)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, id, 0, 0, err
	}
	d.direct = flags&unix.O_DIRECT != 0
	return d, id, size, blockSize(fd, d.direct), nil
}

// maxBlock is the largest unit of input and output, in bytes, and what is written is a multiple of.
const maxBlock = 4096

// blockSize returns the unit that reads must be in: 1 if there is none.
func blockSize(fd int, direct bool) int {
	if !direct {
		return 1
	}
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if n := int(st.Dio_offset_align); err == nil && st.Mask&unix.STATX_DIOALIGN != 0 && n > 0 && n <= maxBlock && st.Dio_mem_align <= maxBlock {
		return n
	}
	return maxBlock
}
