package door

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
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
	UBLKHandle    = "ublk"    // likewise: a door has one of the two
	RunHandle     = "run"     // for swapdev.Resume
	BackingHandle = "backing" // for zpool.Options, if the pool has a backing file
)

// Handles returns all that must be kept. A pool in Go memory, as race builds have it, cannot be: its handle is missing.
// They are good until the door is closed or released. When the pool is given another backing file, or none, the keeper must be
// told again.
func (d *Door) Handles() []Handle {
	list := []Handle{d.way.handle(), {RunHandle, d.record.Lock()}}
	if f := d.pool.File(); f != nil {
		list = append(list, Handle{StoreHandle, int(f.Fd())})
	}
	if f := d.pool.Backing(); f != nil {
		list = append(list, Handle{BackingHandle, int(f.Fd())})
	}
	return list
}

// Adopt goes on with a door that another process opened, or adopted, and that did not close it. That process is dead, or
// has called Release. connection is a copy of its FUSEHandle or UBLKHandle, run one of its RunHandle; they are owned from now on,
// errors included. The pool was opened from a copy of the third. Record, Label, Priority, Kind and Keep mean nothing here.
//
// Where requests are copied is all present before the first one is read; then the kernel sends again what was under way, see
// fuse.Adopt and package ublk. For a whole machine, the process is no longer in a hurry then (guard.Hurry), if it was.
//
// If it fails, nothing has changed, and with other copies it can be tried again. But if the error is swapdev.ErrForeign
// or swapdev.ErrOff, the other process died before the kernel had a page in the pool, or after it had none any more:
// give up all copies, which makes those who still wait for the device fail, and Clean. What is not needed to serve and could not be
// done is in Warnings.
func Adopt(connection int, run *os.File, o Options) (*Door, error) {
	s, err := prepareStandby(connection, o, true)
	if err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return s.Adopt(run, o.Pool)
}

// Standby has all that it takes to adopt a door, as far as that can be had while another process serves it.
type Standby struct {
	o          *Options
	connection int          // of FUSE
	ublk       *ublkWay     // else nil
	warm       func() error // once it serves; nil: nothing
}

// Prepare makes a standby of a copy of the door's FUSEHandle or UBLKHandle, which it owns from now on, errors included. The
// options need no Pool yet. For a whole machine, the process is to be warm (guard.Warm) before the standby adopts.
func Prepare(connection int, o Options) (*Standby, error) {
	return prepareStandby(connection, o, false)
}

func prepareStandby(connection int, o Options, cold bool) (*Standby, error) {
	s := &Standby{o: &o, connection: connection, warm: o.ready()}
	kind, err := kindOf(connection)
	if err != nil {
		return nil, errors.Join(err, unix.Close(connection))
	}
	if kind == UBLK {
		if cold { // then the server does, before the first request
			s.warm = nil
		}
		if s.ublk, err = prepareUBLK(connection, s.o, cold); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close gives up a standby that has adopted nothing.
func (s *Standby) Close() error {
	if s.ublk != nil {
		return s.ublk.release()
	}
	return unix.Close(s.connection)
}

// Adopt is like the function of that name. It uses the standby up.
func (s *Standby) Adopt(run *os.File, pool *zpool.Pool) (*Door, error) {
	s.o.Pool = pool
	d := &Door{pool: pool}
	find, err := s.serve(d)
	if err != nil {
		return nil, errors.Join(err, run.Close())
	}
	d.serving = time.Now()
	if s.warm != nil {
		_ = guard.Calm() // or it would keep the CPU from who makes memory free
		err = s.warm()   // others waited already, and what a fault of ours waits for may wait for us
	}
	// Only now: what is asked of the device may be asked of us, and the record is in a tmpfs, which may be swapped out.
	if err = errors.Join(err, d.adoptDevice(run, find)); err != nil {
		if d.record != nil {
			err = errors.Join(err, d.record.Release())
		}
		return nil, fmt.Errorf("adopt the swap device: %w", errors.Join(err, d.Release()))
	}
	// It serves. What fails now, as where /run is full, would fail the next one, too: it is no reason to end.
	d.warn("the record does not say that it is ours", d.record.Sign())
	d.warn("nothing is done when the pool is full", d.relieve(s.o))
	return d, nil
}

func (d *Door) warn(what string, err error) {
	if err != nil {
		d.notes = append(d.notes, fmt.Sprintf("%s: %v", what, err))
	}
}

// serve answers requests from now on. find says whether the record has the device, which it looks for.
func (s *Standby) serve(d *Door) (find func(swapdev.Record) error, err error) {
	if s.ublk != nil {
		if err := s.ublk.adopt(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		d.way = s.ublk
		return s.ublk.find, nil
	}
	w, err := adoptLoop(s.connection, s.o)
	if err != nil {
		return nil, err
	}
	d.way = w
	return w.find, nil
}

func (d *Door) adoptDevice(run *os.File, find func(swapdev.Record) error) (err error) {
	if d.record, err = swapdev.Resume(run); err != nil {
		return err
	}
	if err = find(d.record.Record()); err != nil {
		return err
	}
	_, err = d.way.used()
	return err
}

// Serving returns when a door that was adopted began to serve.
func (d *Door) Serving() time.Time { return d.serving }

// Record returns the record of what the door has made.
func (d *Door) Record() *swapdev.Run { return d.record }

// Release stops serving, with every request that was read answered, and lets go of everything without undoing any of
// it: for a process that ends and leaves the door to a successor. Who swaps waits from now on until somebody adopts the
// door. If nobody holds copies of the Handles, all that is swapped out is lost. The pool and the record are the caller's.
func (d *Door) Release() error { return errors.Join(d.relief.end(), d.way.release()) }
