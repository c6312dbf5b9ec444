package ublk

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rangeIoctl is BLKDISCARD or BLKZEROOUT.
func rangeIoctl(fd int, request uint, first, n uint64) error {
	span := [2]uint64{first << pageShift, n << pageShift}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&span)))
	if errno != 0 {
		return errno
	}
	return nil
}
