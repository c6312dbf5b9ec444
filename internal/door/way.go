package door

import (
	"context"
	"errors"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// way is how pages come and go: a server, and the block device that the kernel swaps to.
type way interface {
	// handle names the descriptor of its own that a keeper must hold for a successor.
	handle() Handle
	path() string
	swapOn(priority int) error
	swapOff(context.Context, swapdev.OffOptions) error // nil if it is off already
	used() (uint64, error)
	stats() fuse.Stats
	uring() error
	warnings() []string
	failed() <-chan error
	// undo takes the device away and ends the server; swap is off. If it is on it is swapdev.ErrOn, and nothing has changed.
	undo() error
	// release ends the server and leaves the device to a successor.
	release() error
}

// loopWay is a file of a FUSE server under a loop device.
type loopWay struct {
	server *fuse.Server
	device *swapdev.Device
}

func openLoop(o *Options) (*loopWay, error) {
	if o.URing && o.Keep != nil {
		return nil, errors.New("a door over io_uring cannot be kept: what its server has read dies with it")
	}
	server, err := fuse.Mount(o.fuse())
	if err != nil {
		return nil, err
	}
	w := &loopWay{server: server}
	w.device, err = swapdev.Attach(server.File(), swapdev.Options{Tag: o.Record.Tag(), Intent: o.Record.SetLoop, Queue: o.loopQueue()})
	if err == nil {
		err = server.File().Close() // the loop device has it
	}
	if err != nil {
		return nil, errors.Join(err, w.undo())
	}
	return w, nil
}

// loopQueue returns the settings of the loop device. When the whole machine is short of memory, what is under way is memory that
// cannot be used: 16 requests of 32 pages are enough to keep us busy.
func (o *Options) loopQueue() []swapdev.Setting {
	q := swapdev.Queue()
	if o.WholeMachine && !o.withoutQueue {
		q = append(q, swapdev.Setting{Name: "nr_requests", Value: "16"}, swapdev.Setting{Name: "max_sectors_kb", Value: "128"})
	}
	return q
}

// adoptLoop goes on with the connection of a server that is dead, or has released it.
func adoptLoop(connection int, o *Options) (*loopWay, error) {
	c := o.fuse()
	c.Ready = nil // serve first
	server, err := fuse.Adopt(connection, c)
	if err != nil {
		return nil, err
	}
	return &loopWay{server: server}, nil
}

func (w *loopWay) find(r swapdev.Record) (err error) {
	w.device, err = swapdev.Find(r.Loop, r.Tag)
	return err
}

func (w *loopWay) handle() Handle            { return Handle{FUSEHandle, w.server.Fd()} }
func (w *loopWay) path() string              { return w.device.Path() }
func (w *loopWay) swapOn(priority int) error { return w.device.SwapOn(priority, true) }
func (w *loopWay) used() (uint64, error)     { return w.device.Used() }
func (w *loopWay) stats() fuse.Stats         { return w.server.Stats() }
func (w *loopWay) uring() error              { return w.server.URing() }
func (w *loopWay) warnings() []string        { return w.device.Warnings() }
func (w *loopWay) failed() <-chan error      { return w.server.Failed() }

func (w *loopWay) swapOff(ctx context.Context, o swapdev.OffOptions) error {
	return w.device.SwapOff(ctx, o)
}

func (w *loopWay) undo() (err error) {
	if w.device != nil {
		if err := w.device.Detach(); err != nil {
			return err // who has it may ask for a page
		}
	}
	return errors.Join(err, w.server.Close())
}

func (w *loopWay) release() (err error) {
	if w.device != nil {
		err = w.device.Release()
	}
	return errors.Join(err, w.server.Close())
}
