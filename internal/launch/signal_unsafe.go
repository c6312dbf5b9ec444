package launch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is the kernel's struct: handler, flags, restorer, mask of 64 signals. A handler of 0 is the default, 1 ignores.
type sigaction [4]uint64

// setSignal sets the default action of a signal, or ignores it, behind the Go runtime's back. That some
// numbers (SIGKILL, SIGSTOP) cannot be set is no matter.
func setSignal(number int, ignore bool) {
	var action sigaction
	if ignore {
		action[0] = 1
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(&action)), 0, signals/8, 0, 0)
}
