// Package cputime says how much CPU time a thread has had, which is what background work costs whatever else runs.
package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Thread returns the CPU time of the calling thread so far: two of them make a difference only on one thread, so between
// runtime.LockOSThread and UnlockOSThread. It costs about as much as reading the clock, and allocates nothing.
func Thread() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0 // there is no kernel without it
	}
	return time.Duration(t.Nano())
}
