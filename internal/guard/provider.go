package guard

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Provider makes the calling thread, to which its goroutine must be locked, the one that asks for memory in place of all
// others. It may wait for swap, ours too, as nobody waits for it; so it is no I/O flusher: those may not swap, and at
// worst look for a page for ever. And it is a real-time thread, because the kernel lets those go below the watermark at
// which programs wait (ALLOC_MIN_RESERVE, Linux 6.3); it must rest when there is nothing to do.
func Provider() error {
	if err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0); err != nil && err != unix.EPERM && err != unix.EINVAL {
		return fmt.Errorf("may wait for swap: %w", err) // without the privilege it never was one
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	return nil
}
