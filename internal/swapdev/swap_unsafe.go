package swapdev

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The flag bits of swapon(2). The low 15 bits carry the priority.
const (
	swapPrefer       = 0x8000
	swapPriority     = 0x7fff
	swapDiscard      = 0x10000
	swapDiscardPages = 0x40000
)

func swapon(path string, flags int) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(p)), uintptr(flags), 0); errno != 0 {
		return errno
	}
	return nil
}

func swapoff(path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(p)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
