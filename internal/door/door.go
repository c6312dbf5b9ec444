package door

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

	// Kind is what the door is made of. Without it, it is FUSE, and for the whole machine what Choose chooses. Threads, SpinMax
	// and URing are FUSE's. Adopt knows it from the handle.
	Kind Kind

	// WholeMachine is for a device that all programs swap to, not only those of a cgroup: this process then faults in all
	// that it needs, and less is under way to the device at a time. The pool must have a reserve, refilled by a
	// guard.Provider, and guard.Protect must have been called.
	WholeMachine bool

	withoutWarm, withoutQueue, withoutRelief, withoutKiller bool // parts of WholeMachine that a test leaves out

	// Keep, if any, is told by Open what another process must hold for Adopt, before the kernel has a page in the
	// pool. If it fails, so does Open.
	Keep func([]Handle) error
}

// Door is a pool that the kernel swaps to.
type Door struct {
	way    way
	pool   *zpool.Pool
	record *swapdev.Run
	relief *relief // of a whole machine, else nil

	serving time.Time // since when, after Adopt
	notes   []string  // of what Adopt could not do
}

// Open makes the pool a swap device. The pool must be empty, and not be closed before the door.
func Open(o Options) (d *Door, err error) {
	kind, err := o.kind()
	if err != nil {
		return nil, err
	}
	header, err := swapdev.Header(o.Pool.Slots(), o.Label)
	if err != nil {
		return nil, err
	}
	if err := o.Pool.NewWorker().Store(0, header[:]); err != nil {
		return nil, fmt.Errorf("swap header: %w", err)
	}
	d = &Door{pool: o.Pool, record: o.Record}
	if kind == UBLK {
		if w, err := openUBLK(&o); err == nil {
			d.way = w
		} else {
			return nil, err
		}
	} else {
		if w, err := openLoop(&o); err == nil {
			d.way = w
		} else {
			return nil, err
		}
	}
	if o.Keep != nil {
		err = o.Keep(d.Handles())
	}
	if err == nil {
		err = d.relieve(&o)
	}
	if err == nil {
		err = d.way.swapOn(o.Priority)
	}
	if err != nil {
		return nil, errors.Join(err, d.undo())
	}
	return d, nil
}

// fuse returns how the pool is served by FUSE.
func (o *Options) fuse() fuse.Config {
	return fuse.Config{
		Pages:    o.Pool.Slots(),
		Threads:  o.Threads,
		NewStore: o.store,
		Refusals: refusals,
		SpinMax:  o.SpinMax,
		Hold:     o.Hold,
		URing:    o.URing,
		Ready:    o.ready(),
	}
}

// refusals are what a pool says that has no room for a page.
var refusals = []error{zpool.ErrFull, zpool.ErrNoMemory}

// store makes what one serving thread has of the pool.
func (o *Options) store() fuse.Store {
	if o.Wrap != nil {
		return o.Wrap(o.Pool.NewWorker())
	}
	return o.Pool.NewWorker()
}

// ready returns what is to be done when everything was made, before the first request.
func (o *Options) ready() func() error {
	if !o.WholeMachine || o.withoutWarm {
		return nil
	}
	return func() error { return guard.Warm(warmHeap) }
}

// warmHeap is how much free heap is faulted in before the first request, in bytes. It is for all but the pages, which need
// none; but who waits for a page of heap holds up a garbage collection, and that holds up the pages.
const warmHeap = 4 << 20

// undo takes back what Open did. If swap is on, be it that somebody else has just turned it on, it does nothing but say so.
func (d *Door) undo() error {
	err := d.way.undo()
	if errors.Is(err, swapdev.ErrOn) {
		return err
	}
	return errors.Join(err, d.relief.end())
}

// Device returns the path of the swap device.
func (d *Door) Device() string { return d.way.path() }

// Used returns the bytes that are swapped out to the device.
func (d *Door) Used() (uint64, error) { return d.way.used() }

// Stats returns the server's numbers. Those that a ublk server does not have are 0: it does not know what comes again.
func (d *Door) Stats() fuse.Stats { return d.way.stats() }

// Kind returns what the door is made of.
func (d *Door) Kind() Kind {
	if _, ok := d.way.(*ublkWay); ok {
		return UBLK
	}
	return FUSE
}

// URing returns nil if pages come over io_uring, else why they do not.
func (d *Door) URing() error { return d.way.uring() }

// Warnings tells which settings of the device did not take, and what else could not be done.
func (d *Door) Warnings() []string { return slices.Concat(d.way.warnings(), d.notes) }

// Failed tells of a panic of ours while a page was served: see fuse.Server.Failed. What is swapped out should be brought
// back while it can be.
func (d *Door) Failed() <-chan error { return d.way.failed() }

// Close brings everything back into memory and takes the device away. If the memory is not there it is a
// *swapdev.NoRoomError, and if ctx ends first its error; then the door stays open, and Close can be called again.
func (d *Door) Close(ctx context.Context, o swapdev.OffOptions) error {
	if err := d.way.swapOff(ctx, o); err != nil {
		return err
	}
	return d.undo()
}
