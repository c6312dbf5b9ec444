package guard

import (
	"errors"
	"fmt"
	"os"
	"strconv"

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
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: providerPriority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	return nil
}

// Real-time priorities. What matters is that there is one; they differ so that Calm knows which is which.
const (
	hurryPriority    = 1
	providerPriority = 2
)

// Hurry makes all threads of this process real-time ones, and with them those that they start: nobody else gets what memory
// is left before they do. It is for a server that others wait for already, until it serves; it must have all but a little
// of what it needs, for a real-time thread that looks for memory in vain keeps the CPU from who could free some.
func Hurry() error {
	return eachThread(func(tid int, now *unix.SchedAttr) error {
		if now.Policy != unix.SCHED_NORMAL {
			return nil
		}
		return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: hurryPriority}, 0)
	})
}

// Calm takes Hurry back.
func Calm() error {
	return eachThread(func(tid int, now *unix.SchedAttr) error {
		if now.Policy != unix.SCHED_FIFO || now.Priority != hurryPriority {
			return nil
		}
		return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
	})
}

func eachThread(do func(tid int, now *unix.SchedAttr) error) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		now, e := unix.SchedGetAttr(tid, 0)
		if e == nil {
			e = do(tid, now)
		}
		if e != nil && e != unix.ESRCH { // the thread has ended
			err = errors.Join(err, fmt.Errorf("priority of thread %d: %w", tid, e))
		}
	}
	return err
}
