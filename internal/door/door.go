package door

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/pmqos"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// Options say how a pool is offered. The zero values of the optional ones are what a user wants.
type Options struct {
	Pool     *zpool.Pool  // all of whose slots become the device
	Record   *swapdev.Run // notes what is made, for the next start after a kill
	Label    string       // of the swap area
	Priority int          // of the swap device, 0..swapdev.MaxPriority
	Threads  int          // that serve; 0: what fuse thinks best
	SpinMax  time.Duration
	Hold     *pmqos.Hold // may be nil
	URing    bool        // serve over io_uring, if the kernel offers it: see fuse.Config. Not with Keep

	// Wrap, if any, is put around what each serving thread has of the pool, to see what is asked of it.
	Wrap func(fuse.Store) fuse.Store

	// WholeMachine is for a device that all programs swap to, not only those of a cgroup: this process then faults in all
	// that it needs, and less is under way to the device at a time. The pool must have a reserve, refilled by a
	// guard.Provider, and guard.Protect must have been called.
	WholeMachine bool

	withoutWarm, withoutQueue bool // parts of WholeMachine that a test leaves out

	// Keep, if any, is told by Open what another process must hold for Adopt, before the kernel has a page in the
	// pool. If it fails, so does Open.
	Keep func([]Handle) error
}

// Door is a pool that the kernel swaps to.
type Door struct {
	server *fuse.Server
	device *swapdev.Device
	pool   *zpool.Pool
	record *swapdev.Run

	serving time.Time // since when, after Adopt
}

// Open makes the pool a swap device. The pool must be empty, and not be closed before the door.
func Open(o Options) (d *Door, err error) {
	header, err := swapdev.Header(o.Pool.Slots(), o.Label)
	if err != nil {
		return nil, err
	}
	if err := o.Pool.NewWorker().Store(0, header[:]); err != nil {
		return nil, fmt.Errorf("swap header: %w", err)
	}
	if o.URing && o.Keep != nil {
		return nil, errors.New("a door over io_uring cannot be kept: what its server has read dies with it")
	}
	d = &Door{pool: o.Pool, record: o.Record}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.undo())
			d = nil
		}
	}()
	d.server, err = fuse.Mount(o.server())
	if err != nil {
		return d, err
	}
	d.device, err = swapdev.Attach(d.server.File(), swapdev.Options{Tag: o.Record.Tag(), Intent: o.Record.SetLoop, Queue: o.queue()})
	if err != nil {
		return d, err
	}
	if err := d.server.File().Close(); err != nil { // the loop device has it
		return d, err
	}
	if o.Keep != nil {
		if err := o.Keep(d.Handles()); err != nil {
			return d, err
		}
	}
	return d, d.device.SwapOn(o.Priority, true)
}

// server returns how the pool is served.
func (o *Options) server() fuse.Config {
	c := fuse.Config{
		Pages:    o.Pool.Slots(),
		Threads:  o.Threads,
		NewStore: func() fuse.Store { return o.Pool.NewWorker() },
		SpinMax:  o.SpinMax,
		Hold:     o.Hold,
		URing:    o.URing,
	}
	if o.Wrap != nil {
		c.NewStore = func() fuse.Store { return o.Wrap(o.Pool.NewWorker()) }
	}
	if o.WholeMachine && !o.withoutWarm {
		c.Ready = func() error { return guard.Warm(warmHeap) }
	}
	return c
}

// warmHeap is how much free heap is faulted in before the first request, in bytes. It is for all but the pages, which need
// none; but who waits for a page of heap holds up a garbage collection, and that holds up the pages.
const warmHeap = 4 << 20

// queue returns the settings of the device. When the whole machine is short of memory, what is under way is memory that
// cannot be used: 16 requests of 32 pages are enough to keep us busy.
func (o *Options) queue() []swapdev.Setting {
	q := swapdev.Queue()
	if o.WholeMachine && !o.withoutQueue {
		q = append(q, swapdev.Setting{Name: "nr_requests", Value: "16"}, swapdev.Setting{Name: "max_sectors_kb", Value: "128"})
	}
	return q
}

// undo takes back what Open did before it failed; swap is not on.
func (d *Door) undo() (err error) {
	if d.device != nil {
		err = d.device.Detach()
	}
	if d.server != nil {
		err = errors.Join(err, d.server.Close())
	}
	return err
}

// Device returns the path of the swap device.
func (d *Door) Device() string { return d.device.Path() }

// Used returns the bytes that are swapped out to the device.
func (d *Door) Used() (uint64, error) { return d.device.Used() }

// Stats returns the server's numbers.
func (d *Door) Stats() fuse.Stats { return d.server.Stats() }

// URing returns nil if pages come over io_uring, else why they do not.
func (d *Door) URing() error { return d.server.URing() }

// Warnings tells which settings of the device did not take.
func (d *Door) Warnings() []string { return d.device.Warnings() }

// Failed tells of a panic of ours while a page was served: see fuse.Server.Failed. What is swapped out should be brought
// back while it can be.
func (d *Door) Failed() <-chan error { return d.server.Failed() }

// Close brings everything back into memory and takes the device away. If the memory is not there it is a
// *swapdev.NoRoomError, and if ctx ends first its error; then the door stays open, and Close can be called again.
func (d *Door) Close(ctx context.Context, o swapdev.OffOptions) error {
	if err := d.device.SwapOff(ctx, o); err != nil {
		return err
	}
	return d.undo()
}
