package swapdev

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// MaxPriority is the highest swap priority. -1 lets the kernel choose, below every priority given.
const MaxPriority = swapPriority

// NoRoomError says that what is swapped out would not fit into memory. Sizes are in bytes.
type NoRoomError struct {
	Used, Available, Reserve uint64
	Cgroup                   string // folder of the memory cgroup whose limit is in the way, and whose the sizes are; "": the machine
}

func (e *NoRoomError) Error() string {
	if e.Cgroup != "" {
		return fmt.Sprintf("swapdev: swapoff would bring back %d MiB to programs of the cgroup %s, whose limit leaves room for %d MiB: raise the limit, or end some of them",
			e.Used>>20, e.Cgroup, e.Available>>20)
	}
	return fmt.Sprintf("swapdev: swapoff would bring back %d MiB, but only %d MiB are available (less a reserve of %d MiB): end some programs, or force it",
		e.Used>>20, e.Available>>20, e.Reserve>>20)
}

// othersWait is how long to wait between attempts while another swapoff is at work.
const othersWait = 100 * time.Millisecond

// Target is what swapon(2) and swapoff(2) are given: a block device or a file. A Device is one with a loop device of its
// own below; these are for all others. It is stateless, and its methods may be called concurrently.
type Target struct {
	host host
	path string
	file bool
}

// Block returns the target that is a block device, such as /dev/zram1.
func Block(path string) Target { return Target{host: kernel, path: path} }

// File returns the target that is a file. The path must be absolute and without symbolic links.
func File(path string) Target { return Target{host: kernel, path: path, file: true} }

// Path returns the block device or the file.
func (t Target) Path() string { return t.path }

// area returns the target's line in /proc/swaps, if swap is on.
func (t Target) area() (a area, on bool, err error) {
	if !t.file {
		return t.host.swapOf(filepath.Base(t.path))
	}
	list, err := t.host.areas()
	for _, a := range list {
		if a.kind == "file" && a.name == t.path {
			return a, true, nil
		}
	}
	return area{}, false, err
}

// OffOptions of SwapOff.
type OffOptions struct {
	Force     bool                   // do not ask whether there is room
	Reserve   uint64                 // bytes of available memory that must be left afterwards
	Available func() (uint64, error) // nil: MemAvailable
	Progress  func(used, at0 uint64) // called now and then with the bytes still out, and those at the start
	Interval  time.Duration          // between two calls of Progress; 0: 100 ms
}

// SwapOn makes the kernel swap to the target, which must hold a Header. The kernel reads it before SwapOn returns.
// With discard the kernel tells the device of pages that it needs no more, in batches.
func (t Target) SwapOn(priority int, discard bool) error {
	if priority < -1 || priority > MaxPriority {
		return fmt.Errorf("swapdev: priority %d: want -1 (the kernel's choice) to %d", priority, MaxPriority)
	}
	flags := 0
	if priority >= 0 {
		flags = swapPrefer | priority
	}
	if discard {
		flags |= swapDiscard | swapDiscardPages // not the whole device at the start: it is empty
	}
	err := swapon(t.path, flags)
	for try := 0; errors.Is(err, unix.EINTR) && try < 10; try++ {
		err = swapon(t.path, flags)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("swapdev: swapon %s: %w: it is on already, or in use", t.path, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("swapdev: swapon %s: %w: no swap header in its first page, or a file with holes", t.path, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("swapdev: swapon %s: %w: needs CAP_SYS_ADMIN, and fewer than about 28 swap areas on", t.path, err)
	}
	return fmt.Errorf("swapdev: swapon %s: %w", t.path, err)
}

// Used returns the bytes swapped out to it, from the kernel's books. ErrOff if swap is off.
func (t Target) Used() (uint64, error) {
	a, on, err := t.area()
	if err == nil && !on {
		err = ErrOff
	}
	return a.used, err
}

// SwapOff brings back everything that is swapped out to the target and turns swap off. It refuses with a
// *NoRoomError if that would not fit into memory. When ctx ends first the kernel is told to stop, which it does between two
// processes: all pages of one come back first. If that was the last one swap is off and there is no error, else swap
// stays on, and what came back stays back. Swap that is off already is no error.
//
// Pages that belong to a memory cgroup at its limit cannot come back: swapoff then ends with ENOMEM, or the
// cgroup's processes are killed. End the cgroup's processes first, or look with cgroup.MostCramped.
func (t Target) SwapOff(ctx context.Context, o OffOptions) error {
	used, err := t.Used()
	if errors.Is(err, ErrOff) {
		return nil
	}
	if err == nil && !o.Force {
		err = t.room(used, o)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	defer t.watch(used, o)()
	err = t.off(ctx)
	left, still := t.Used()
	for errors.Is(err, unix.EINVAL) && still == nil && ctx.Err() == nil {
		time.Sleep(othersWait) // another swapoff, of ours or somebody else's, is still at work on it
		err = t.off(ctx)
		left, still = t.Used()
	}
	if err == nil || errors.Is(still, ErrOff) {
		return nil // the latter: it was done just when it was called off, or by somebody else
	}
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("swapdev: swapoff %s: %w with %d MiB still swapped out: a cgroup at its limit, no memory left, or strict overcommit", t.path, err, left>>20)
	}
	return fmt.Errorf("swapdev: swapoff %s: %w", t.path, err)
}

func (t Target) room(used uint64, o OffOptions) error {
	available := o.Available
	if available == nil {
		available = t.host.available
	}
	free, err := available()
	if err == nil && used+o.Reserve > free {
		err = &NoRoomError{Used: used, Available: free, Reserve: o.Reserve}
	}
	return err
}

// watch reports progress until the returned function is called; that waits for the last report.
func (t Target) watch(at0 uint64, o OffOptions) (stop func()) {
	if o.Progress == nil {
		return func() {}
	}
	if o.Interval <= 0 {
		o.Interval = 100 * time.Millisecond
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(o.Interval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				used, _ := t.Used() // 0 when it is off
				o.Progress(used, at0)
				return
			case <-tick.C:
				if used, err := t.Used(); err == nil {
					o.Progress(used, at0)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}
