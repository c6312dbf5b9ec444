package serve

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/keeper"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/zpool"
)

// prepared is what a standby has of a daemon that still serves.
type prepared struct {
	store  *zpool.Standby
	door   *door.Standby
	config *config.Config // that both were made with
}

const (
	refreshEvery   = time.Second
	standbyHeap    = 12 << 20 // bytes of heap that a standby has when it begins
	standbyBallast = 4 << 20  // bytes that it throws off then, for what the kernel takes on its behalf
)

// standBy takes all that it takes to go on where another daemon ends, and waits until it does. It reports whether that was
// so; else it is the end.
func (d *Daemon) standBy(before saved, signals <-chan os.Signal) (on bool, err error) {
	var goesOn atomic.Bool
	go func() { // or what it holds would outlive both, and nobody would serve
		if waitForEnd(d.o.Keeper); !goesOn.Load() {
			os.Exit(1)
		}
	}()
	dead, err := watchProcess(d.o.Ahead)
	if err != nil {
		return false, err
	}
	c, _, err := before.config()
	if err != nil {
		return false, err
	}
	d.config = c
	d.saved = &savedFile{f: os.NewFile(uintptr(d.handed(savedHandle)), savedHandle), now: before}
	d.openHold()
	p := &prepared{config: c}
	if p.store, err = d.prepareStore(c); err != nil {
		return false, err
	}
	if p.door, err = door.Prepare(d.doorHandle(), d.doorOptions()); err != nil {
		return false, err
	}
	d.prepared = p
	if err := errors.Join(p.store.Refresh(), guard.Warm(standbyHeap)); err != nil {
		return false, err
	}
	ballast, err := guard.NewBallast(standbyBallast)
	if err != nil {
		return false, err
	}
	d.notify(sdnotify.Prepared)
	failed, stop := refresh(p.store)
	defer stop()
	for {
		select {
		case s := <-signals:
			if s != keeper.GoOn {
				return false, nil
			}
			if !dead() {
				d.log.Warn(fmt.Sprintf("%v, but process %d serves: it was not the keeper who said so", s, d.o.Ahead))
				continue
			}
			goesOn.Store(true)
			ballast.Drop()
			if before.Door == config.DoorUBLK {
				_ = guard.Hurry() // until it serves; it has all but a little of what it takes
			}
			return true, nil
		case err := <-failed:
			return false, err
		}
	}
}

// refresh refreshes a store now and then, until it fails or is stopped. It has a goroutine to itself: it may wait for memory, when
// the server has just died, say, and who goes on must not wait for it before there is some.
func refresh(store *zpool.Standby) (failed <-chan error, stop func()) {
	errs, quit, done := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(refreshEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if err := store.Refresh(); err != nil {
				errs <- err
				return
			}
		}
	}()
	return errs, func() { close(quit); <-done }
}

// unprepare closes what a standby has, and what was handed over for it.
func (d *Daemon) unprepare() error {
	if d.prepared == nil {
		return nil
	}
	err := errors.Join(d.prepared.store.Close(), d.prepared.door.Close(), d.saved.f.Close(), d.hold.Close())
	for _, name := range []string{door.StoreHandle, door.FUSEHandle, door.UBLKHandle, door.BackingHandle, savedHandle} {
		delete(d.o.Handed, name)
	}
	d.prepared, d.saved, d.hold = nil, nil, nil
	return err
}

// openStore returns what was prepared, or prepares it now.
func (d *Daemon) openStore(c *config.Config) (*zpool.Standby, error) {
	if d.prepared != nil {
		return d.prepared.store, nil
	}
	return d.prepareStore(c)
}

func (d *Daemon) prepareStore(c *config.Config) (*zpool.Standby, error) {
	o := d.poolWork(poolOptions(c))
	o.Backing = d.adoptBacking()
	return zpool.Prepare(d.handedFile(door.StoreHandle), o)
}

// adoptDoor likewise.
func (d *Daemon) adoptDoor() (*door.Door, error) {
	run := d.handedFile(door.RunHandle)
	if d.prepared != nil {
		return d.prepared.door.Adopt(run, d.pool)
	}
	return door.Adopt(d.doorHandle(), run, d.doorOptions())
}

// handedFile returns a descriptor that the manager has handed over as a file, which owns it.
func (d *Daemon) handedFile(name string) *os.File {
	return os.NewFile(uintptr(d.handed(name)), name)
}

// watchProcess returns what says, from now on, whether a process is dead. One of which the number is not known is taken for that.
func watchProcess(pid int) (dead func() bool, err error) {
	if pid <= 1 {
		return func() bool { return true }, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return func() bool { return true }, nil
	}
	return func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0
	}, os.NewSyscallError("pidfd_open", err)
}

// waitForEnd waits until a process is dead.
func waitForEnd(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	for err == nil {
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); n > 0 {
			_ = unix.Close(fd)
			return
		}
	}
}

// wantStandby asks for one. Where all of the machine's swap is ours there may be no memory to start a daemon with.
func (d *Daemon) wantStandby() bool {
	return d.o.Keeper != 0 && (d.o.Standby || d.saved.now.Door == config.DoorUBLK)
}
