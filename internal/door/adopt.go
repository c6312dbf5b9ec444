package door

import (
	"errors"
	"fmt"
	"os"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// A Handle is a descriptor that another process must hold a copy of for this one to be replaced. The descriptor stays
// the door's.
type Handle struct {
	Name string // one of those below: letters, as names in systemd's store of descriptors
	FD   int    // no os.File: the Go runtime would poll a connection, and be woken by each request
}

// Names of handles.
const (
	StoreHandle   = "store"   // for zpool.Open
	FUSEHandle    = "fuse"    // for Adopt
	RunHandle     = "run"     // for swapdev.Resume
	BackingHandle = "backing" // for zpool.Options, if the pool has a backing file
)

// Handles returns all that must be kept. A pool in Go memory, as race builds have it, cannot be: its handle is missing.
// They are good until the door is closed or released. When the pool is given another backing file, or none, the keeper must be
// told again.
func (d *Door) Handles() []Handle {
	list := []Handle{{FUSEHandle, d.server.Fd()}, {RunHandle, d.record.Lock()}}
	if f := d.pool.File(); f != nil {
		list = append(list, Handle{StoreHandle, int(f.Fd())})
	}
	if f := d.pool.Backing(); f != nil {
		list = append(list, Handle{BackingHandle, int(f.Fd())})
	}
	return list
}

// Adopt goes on with a door that another process opened, or adopted, and that did not close it. That process is dead, or
// has called Release. connection and run are copies of its handles, owned from now on, errors included; the pool was opened
// from a copy of the third. Record, Label, Priority and Keep mean nothing here.
//
// The pages of requests are copied into buffers that are all present before the first request is read; then the kernel
// sends again what was under way, see fuse.Adopt.
//
// If it fails, nothing has changed, and with other copies it can be tried again. But if the error is swapdev.ErrForeign
// or swapdev.ErrOff, the other process died before the kernel had a page in the pool, or after it had none any more:
// give up all copies, which makes those who still wait for the device fail, and Clean.
func Adopt(connection int, run *os.File, o Options) (*Door, error) {
	d := &Door{pool: o.Pool}
	var err error
	if d.server, err = fuse.Adopt(connection, o.server()); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	// Only now: what is asked of the device may be asked of us, and the record is in a tmpfs, which may be swapped out.
	if err = d.adoptDevice(run); err != nil {
		if d.record != nil {
			err = errors.Join(err, d.record.Release())
		}
		return nil, fmt.Errorf("adopt the swap device: %w", errors.Join(err, d.Release()))
	}
	return d, nil
}

func (d *Door) adoptDevice(run *os.File) (err error) {
	if d.record, err = swapdev.Resume(run); err != nil {
		return err
	}
	r := d.record.Record()
	if d.device, err = swapdev.Find(r.Loop, r.Tag); err != nil {
		return err
	}
	_, err = d.device.Used()
	return err
}

// Record returns the record of what the door has made.
func (d *Door) Record() *swapdev.Run { return d.record }

// Release stops serving, with every request that was read answered, and lets go of everything without undoing any of
// it: for a process that ends and leaves the door to a successor. Who swaps waits from now on until somebody adopts the
// door. If nobody holds copies of the Handles, all that is swapped out is lost. The pool and the record are the caller's.
func (d *Door) Release() (err error) {
	if d.device != nil {
		err = d.device.Release()
	}
	return errors.Join(err, d.server.Close())
}
