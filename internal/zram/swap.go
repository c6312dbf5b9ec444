package zram

import (
	"errors"
	"fmt"

	"github.com/zswapd/zswapd/internal/swapdev"
	"golang.org/x/sys/unix"
)

// SwapOn writes a swap header and makes the kernel swap to the device, with a priority from 0 to
// swapdev.MaxPriority, the highest first. What was stored in the first page is gone.
func (d *Device) SwapOn(priority int) error {
	if priority < 0 || priority > swapdev.MaxPriority {
		return fmt.Errorf("zram: priority %d: want 0 to %d", priority, swapdev.MaxPriority)
	}
	header, err := swapdev.Header(uint64(d.pages), d.Label)
	if err != nil {
		return err
	}
	b, err := NewBuffer(1)
	if err != nil {
		return err
	}
	copy(b, header[:])
	err = errors.Join(d.WritePages(0, b), FreeBuffer(b))
	if err == nil {
		err = swapon(d.Path(), swapPrefer|priority)
	}
	if err != nil {
		return fmt.Errorf("zram: swapon %s: %w", d.Path(), err)
	}
	d.swap = true
	return nil
}

// SwapOff brings back what is swapped out to the device. It does nothing if swap is off. Processes in a
// memory cgroup at its limit must have ended before.
func (d *Device) SwapOff() error {
	if !d.swap {
		return nil
	}
	if err := swapoff(d.Path()); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: somebody else was faster
		return fmt.Errorf("zram: swapoff %s: %w", d.Path(), err)
	}
	d.swap = false
	return nil
}
