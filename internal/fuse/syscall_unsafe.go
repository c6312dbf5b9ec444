package fuse

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw calls do not tell the Go scheduler: they never wait, or not for long, and its books cost more than they do.

// rawRead reads once from a descriptor that does not block. b must not be empty.
func rawRead(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// rawWrite writes all of b in one call; a /dev/fuse takes it whole or not at all.
func rawWrite(fd int, b []byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno
}

// rawPread reads from a file that never waits, such as one of /proc.
func rawPread(fd int, b []byte, offset int64) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(offset), 0, 0)
	return int(n), errno
}

// rawPoll waits until one of fds is ready, or for at most limit; false if it was for nothing. A signal ends it.
func rawPoll(fds []unix.PollFd, limit time.Duration) bool {
	timeout := unix.NsecToTimespec(int64(limit))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	return errno == 0 && n > 0
}

// rawYield lets another task run that waits for this CPU.
func rawYield() {
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}

// Futex operations, each for this process only.
const (
	futexWaitPrivate = 128
	futexWakePrivate = 129
)

// futexWait sleeps while *word is value. It may return for no reason.
func futexWait(word *atomic.Uint32, value uint32) {
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value), 0, 0, 0)
}

// futexWake wakes at most n threads that sleep on word.
func futexWake(word *atomic.Uint32, n int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, uintptr(n), 0, 0, 0)
}

// ThreadName is what the threads that serve are called: for people who look at threads.
const ThreadName = "zswapd-serve"

// nameThread names the calling thread. That it cannot is no matter.
func nameThread(name string) {
	if p, err := unix.BytePtrFromString(name); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(p)), 0, 0, 0)
	}
}
