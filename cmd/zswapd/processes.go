package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// processes are descriptors of some, whose numbers may be others' by the time that they end.
type processes []int

// openProcesses leaves out those that are not there, and 0.
func openProcesses(pids ...int) (p processes) {
	for _, pid := range pids {
		if pid <= 0 {
			continue
		}
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			p = append(p, fd)
		}
	}
	return p
}

// wait waits until all have ended, and reports whether they have.
func (p processes) wait(limit time.Duration) bool {
	end := time.Now().Add(limit)
	for _, fd := range p {
		for {
			left := max(time.Until(end), 0)
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
			if n > 0 {
				break
			}
			if err != unix.EINTR && (err != nil || time.Until(end) <= 0) {
				return false
			}
		}
	}
	return true
}

func (p processes) close() {
	for _, fd := range p {
		_ = unix.Close(fd)
	}
}
