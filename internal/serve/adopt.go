package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// began is about when this program began to run.
var began = time.Now()

// takeOver goes on where another daemon ended. If that had no swap yet, or none any more, it gives up what was handed over:
// then a new door is to be opened, or, if that daemon was told to stop, this is the end.
func (d *Daemon) takeOver(signals <-chan os.Signal) (adopted, ended bool, err error) {
	before, err := readSaved(d.handed(savedHandle))
	if err != nil {
		return false, false, err
	}
	if d.o.Await {
		on, err := d.standBy(before, signals)
		if err != nil || !on {
			return false, true, err
		}
		if before, err = readSaved(d.handed(savedHandle)); err != nil {
			return false, false, err
		}
		defer guard.Calm()
	}
	for name := range d.o.Handed {
		d.handles = append(d.handles, name)
	}
	on, err := isOn(before.Device)
	if err != nil {
		return false, false, err
	}
	if on {
		err := d.adopt(before)
		if errors.Is(err, swapdev.ErrForeign) || errors.Is(err, swapdev.ErrOff) {
			d.log.Error(err.Error() + ": nothing to go on with")
			if on, e := isOn(before.Device); e == nil && !on { // it was turned off just now: the next one sees that, and why
				return false, true, nil
			}
			return false, true, d.unkeep() // somebody else's, by now
		}
		return true, false, err
	}
	d.log.Warn("the daemon before ended while swap was off: nothing to go on with")
	if err := d.giveUp(); err != nil {
		return false, false, err
	}
	if !before.Stopping && !before.On {
		return false, false, nil
	}
	d.code = 0 // it was turned off on purpose, by whomever
	c, _, err := before.config()
	if err == nil {
		err = control.RemoveStale(c.Control.Socket)
	}
	return false, true, err
}

// isOn reports whether there is swap on a device, by its name only: each process may see it in another folder.
func isOn(device string) (bool, error) {
	all, err := swapdev.On()
	return slices.ContainsFunc(all, func(name string) bool { return filepath.Base(name) == filepath.Base(device) }), err
}

// handed returns a descriptor that the manager has handed over, -1 without one.
func (d *Daemon) handed(name string) int {
	if fd, ok := d.o.Handed[name]; ok {
		return fd
	}
	return -1
}

// adopt serves what another daemon served. Until door.Adopt has begun to serve, nothing here may touch memory that can be
// swapped out.
func (d *Daemon) adopt(before saved) (err error) {
	start := time.Now()
	c, unknown, err := before.config()
	if err != nil {
		return err
	}
	d.config = c
	_ = d.setLogLevel(c)
	store, err := d.openStore(c)
	if err != nil {
		return err
	}
	pool, found, err := store.Open()
	if err != nil {
		return err
	}
	d.pool = pool
	d.pool.SetWipeOnFree(c.Pool.WipeOnFree) // a standby was prepared some time ago
	opened := time.Now()
	if d.saved == nil {
		d.saved = &savedFile{f: d.handedFile(savedHandle)}
	}
	d.saved.now = before
	if d.hold == nil {
		d.openHold()
	}
	if d.door, err = d.adoptDoor(); err != nil {
		return err
	}
	if !d.door.Stats().Resend {
		d.log.Warn("this kernel (before Linux 6.9) cannot send again what a killed daemon had read: who had asked for such a page waits for ever")
	}
	serving := d.door.Serving()
	d.record = d.door.Record()
	d.instance = adoptInstance(d.handed(instanceHandle), d.o.State)
	if err := d.saved.change(func(s *saved) { s.Restarts++ }); err != nil {
		d.log.Error(err.Error())
	}
	d.notePending()
	for _, one := range unknown {
		d.log.Warn("a setting that this program does not know: " + one)
	}
	since := began
	if d.o.Await {
		since = start
	}
	d.log.Info(fmt.Sprintf("serving %s again, %v after it began: %s in %s of memory, read in %v, taken over in %v; restart %d",
		d.door.Device(), round(serving.Sub(since)), report.Bytes(int64(found.Pages*zpool.PageSize)), report.Bytes(d.pool.Stats().MemoryBytes),
		round(opened.Sub(start)), round(serving.Sub(opened)), d.saved.now.Restarts))
	if found.Lost > 0 || found.Unclaimed > 1 {
		d.log.Error(fmt.Sprintf("the store was damaged: %d pages are lost, and %d objects are nobody's", found.Lost, found.Unclaimed))
	}
	if found.Backing != nil {
		d.log.Error("pages in the backing file are lost: " + found.Backing.Error())
	}
	return nil
}

// notePending notes which settings took more than a successor: the device is what it was, and a standby was made before the last
// changes.
func (d *Daemon) notePending() {
	was := &d.saved.now
	old, err := d.config.With("of the device", fmt.Sprintf("swap.size = '%dB'", was.Size), fmt.Sprintf("swap.priority = %d", was.Priority))
	if err != nil {
		d.log.Error(err.Error())
		return
	}
	changes := config.Diff(old, d.config)
	if d.prepared != nil {
		changes = append(changes, config.Diff(d.prepared.config, d.config)...)
	}
	for _, c := range changes {
		d.pending[c.Key] = c.Old
	}
	if d.config.Writeback.File != "" && d.pool.Backing() == nil { // it could not be had; reload tries it again
		d.pending["writeback.file"] = `""`
	}
}

func round(t time.Duration) time.Duration { return t.Round(100 * time.Microsecond) }

// giveUp closes all copies of what was handed over, the manager's first, and cleans up after whoever had it.
func (d *Daemon) giveUp() error {
	err := errors.Join(d.unkeep(), d.unprepare())
	for _, fd := range d.o.Handed {
		err = errors.Join(err, unix.Close(fd))
	}
	d.o.Handed = nil
	i, locked := lockInstance(d.o.State)
	return errors.Join(err, d.cleanOnce(), locked, i.remove())
}
