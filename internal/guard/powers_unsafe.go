package guard

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onlyPowers gives up all capabilities of all threads but some that they have.
func onlyPowers(keep []uintptr) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now, want [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for _, c := range keep {
		want[c/32].Permitted |= 1 << (c % 32) & now[c/32].Permitted
		want[c/32].Effective |= 1 << (c % 32) & now[c/32].Permitted
	}
	header.Pid = 0
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&want[0])), 0)
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return ErrCgo
	}
	return fmt.Errorf("capset: %w", errno)
}
