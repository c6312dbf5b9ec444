package ublk

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw calls do not tell the Go scheduler: they only copy.

// rawPread copies out of a WRITE's pages.
func rawPread(fd int, b []byte, offset int64) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(offset), 0, 0)
	return int(n), errno
}

// rawPwrite copies into a READ's pages.
func rawPwrite(fd int, b []byte, offset int64) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(offset), 0, 0)
	return int(n), errno
}
