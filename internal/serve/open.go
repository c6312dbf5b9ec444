package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// Names of our own handles; the others are the door's.
const (
	savedHandle     = "saved"
	instanceHandle  = "instance"
	namespaceHandle = "namespace" // of mounts, in which the names of the device and of the records mean something
)

// open makes a pool and opens its door. If it fails, all is undone.
func (d *Daemon) open() (err error) {
	if d.config == nil { // it was to be a predecessor's
		if d.config, err = d.o.Load(); err != nil {
			return err
		}
	}
	kind, why, err := chooseDoor(d.config.Door)
	if err != nil {
		return err
	}
	d.why = why
	_ = d.setLogLevel(d.config) // it is one of zap's
	if d.instance, err = lockInstance(d.o.State); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.undo())
		}
	}()
	d.instance.note(fmt.Sprintf("process %d begins to serve", os.Getpid()))
	d.clean()
	if d.record, err = swapdev.NewRun(d.o.State); err != nil {
		return err
	}
	if d.saved, err = newSaved(d.config); err != nil {
		return err
	}
	d.saved.now.Door, d.saved.now.HoldRate = string(kind), resolveHold(d.config.Serve.LatencyHold)
	if d.pool, err = zpool.New(d.poolWork(poolOptions(d.config))); err != nil {
		return err
	}
	if err := d.addBacking(d.config); err != nil {
		return fmt.Errorf("writeback.file: %w", err)
	}
	d.openHold()
	o := d.doorOptions()
	if d.o.Manager != nil {
		o.Keep = d.keep
	}
	if d.door, err = door.Open(o); err != nil {
		return err
	}
	if err := d.saved.change(func(s *saved) { s.Device, s.On = d.door.Device(), true }); err != nil {
		d.log.Error(err.Error()) // swap is on; whoever has a manager has saved most of it before
	}
	d.log.Info(fmt.Sprintf("serving %s of swap on %s, priority %d, in at most %s of memory, through %s: %s",
		report.Bytes(d.config.Swap.Size), d.door.Device(), d.config.Swap.Priority, report.Bytes(d.config.PoolLimit()), kind, d.why))
	return nil
}

// clean takes away what dead daemons and runs have left. What cannot be taken away now is tried again while we serve: a
// device without a server may be needed by a program that our own makes room for.
func (d *Daemon) clean() {
	if err := d.cleanOnce(); err != nil {
		d.log.Error("what a dead one left could not all be cleaned: " + err.Error())
		go func() {
			for d.cleanOnce() != nil {
				time.Sleep(cleanEvery)
			}
		}()
	}
}

const cleanEvery = 2 * time.Second

func (d *Daemon) cleanOnce() error {
	lines, err := swapdev.Clean(context.Background(), d.o.State, swapdev.CleanOptions{})
	for _, line := range lines {
		d.log.Warn("after one that was killed: " + line)
	}
	return err
}

// keep puts everything that must outlive this process into the manager's store, and waits until it is there. The kernel is
// about to swap to the device, so that is what a successor has to know. What says what the others are for comes first, and goes last:
// without it nobody can do anything with them.
func (d *Daemon) keep(handles []door.Handle) error {
	if err := d.saved.change(func(s *saved) { s.Device = deviceIn(d.record.Record()) }); err != nil {
		return err
	}
	namespace, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	defer namespace.Close()
	d.handles = []string{savedHandle, instanceHandle, namespaceHandle}
	err = errors.Join(
		d.o.Manager.Store(savedHandle, int(d.saved.f.Fd())),
		d.o.Manager.Store(namespaceHandle, int(namespace.Fd())),
		d.o.Manager.Store(instanceHandle, int(d.instance.f.Fd())),
	)
	for _, h := range handles {
		d.handles = append(d.handles, h.Name)
		err = errors.Join(err, d.o.Manager.Store(h.Name, h.FD))
	}
	return errors.Join(err, d.o.Manager.Barrier())
}

// unkeep empties the manager's store.
func (d *Daemon) unkeep() (err error) {
	for _, name := range d.handles {
		if name != savedHandle {
			err = errors.Join(err, d.o.Manager.Remove(name))
		}
	}
	if len(d.handles) > 0 {
		err = errors.Join(err, d.o.Manager.Remove(savedHandle), d.o.Manager.Barrier())
	}
	d.handles = nil
	return err
}

// undo takes away what is there besides a door, and the lock last: then somebody else may begin.
func (d *Daemon) undo() error {
	err := d.unkeep()
	if d.hold != nil {
		err = errors.Join(err, d.hold.Close())
	}
	if d.pool != nil {
		err = errors.Join(err, d.pool.DropBacking(), d.pool.Close())
	}
	if d.record != nil {
		err = errors.Join(err, d.record.Close())
	}
	return errors.Join(err, d.instance.remove())
}
