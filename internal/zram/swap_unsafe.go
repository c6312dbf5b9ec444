package zram

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const swapPrefer = 0x8000 // flag of swapon(2): the low 15 bits are a priority

func swapon(path string, flags int) error { return call(unix.SYS_SWAPON, path, flags) }

func swapoff(path string) error { return call(unix.SYS_SWAPOFF, path, 0) }

// call makes a system call that takes a path and flags, again when a signal (the runtime's own, too) broke it off.
func call(number uintptr, path string, flags int) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	for {
		_, _, errno := unix.Syscall(number, uintptr(unsafe.Pointer(p)), uintptr(flags), 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
