package swapdev

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watch calls look at once, and again each time that swap was turned on or off, whatever area it was, and after every at the
// latest, until look returns false. A change is never missed: one that comes while look runs is followed by another call.
func Watch(every time.Duration, look func() bool) error { return kernel.watch(every, look) }

func (h host) watch(every time.Duration, look func() bool) error {
	// The kernel compares what it has counted with what it had when this descriptor was opened, or polled last.
	fd, err := unix.Open(h.swaps, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: h.swaps, Err: err}
	}
	defer unix.Close(fd)
	for look() {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(every.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
	return nil
}
