package swapdev

import "context"

// SwapOn makes the kernel swap to the device, which must hold a Header. The kernel reads it before SwapOn returns.
// With discard the kernel tells us of pages that it needs no more, in batches.
func (d *Device) SwapOn(priority int, discard bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil {
		return ErrDetached
	}
	return d.target().SwapOn(priority, discard)
}

// Used returns the bytes swapped out to this device, from the kernel's books. ErrOff if swap is off.
func (d *Device) Used() (uint64, error) { return d.target().Used() }

// SwapOff is Target.SwapOff of the device.
func (d *Device) SwapOff(ctx context.Context, o OffOptions) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.target().SwapOff(ctx, o)
}

func (d *Device) target() Target { return Target{host: d.host, path: d.Path()} }
