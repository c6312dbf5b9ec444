package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// ErrBusy: it is stopping, or draining, already.
var ErrBusy = errors.New("swap is being turned off already")

// Times between two words about how far swapoff is.
const (
	sayEvery  = 5 * time.Second
	tellEvery = time.Second
)

// stop turns swap off and then ends the daemon. It returns when that has begun, or is refused.
func (d *Daemon) stop(force bool) error {
	if d.State() == StateDrained {
		d.ending = true
		return nil
	}
	return d.off(StateStopping, force)
}

// off begins to turn swap off. Without force it is refused if memory, or the limit of a cgroup, has no room for what comes back: the
// kernel would then end programs until it has.
func (d *Daemon) off(state string, force bool) error {
	switch was := d.State(); {
	case was == StateDraining && state == StateStopping: // it goes on, and then ends
		if err := d.saved.change(func(s *saved) { s.Stopping = true }); err != nil {
			return err
		}
		d.setState(state)
		return nil
	case was == StateDraining, was == StateStopping:
		return ErrBusy
	case was == StateDrained:
		return nil
	}
	used, err := d.door.Used()
	on := !errors.Is(err, swapdev.ErrOff) // else somebody else has turned it off: what is left is to take it away
	if on && err != nil {
		return err
	}
	if on && !force {
		if err := room(used, d.door.Device()); err != nil {
			return fmt.Errorf("refused to turn swap off: %w", err)
		}
	}
	if err := d.saved.change(func(s *saved) { s.Stopping = state == StateStopping }); err != nil {
		return err
	}
	d.setState(state)
	if on {
		d.log.Info("turning swap off: " + report.Bytes(int64(used)) + " to bring back")
	}
	began, said, told := time.Now(), time.Now(), time.Time{}
	o := swapdev.OffOptions{Force: force, Reserve: spareBytes, Progress: func(left, _ uint64) {
		text := fmt.Sprintf("bringing back %s, %s left", report.Bytes(int64(used)), report.Bytes(int64(left)))
		if now := time.Now(); now.Sub(told) >= tellEvery {
			told = now
			d.notify(sdnotify.Status(text))
		}
		if now := time.Now(); now.Sub(said) >= sayEvery {
			said = now
			d.log.Info(text)
		}
	}}
	go func() {
		err := d.door.Close(context.Background(), o)
		if err == nil && d.State() == StateDraining { // the kernel has them; it does not say that we need them no more
			_ = d.pool.NewWorker().Invalidate(0, d.pool.Slots()) // all of its slots are in range
			d.pool.Trim()
		}
		if err == nil && on {
			d.log.Info(fmt.Sprintf("swap is off after %v", time.Since(began).Round(time.Millisecond)))
		}
		d.drained <- err
	}()
	return nil
}

// swapIsOff is told how the swapoff ended. If it failed, the daemon goes on as before.
func (d *Daemon) swapIsOff(err error) {
	if err != nil {
		what := "swap stays on: "
		if _, e := d.door.Used(); errors.Is(e, swapdev.ErrOff) { // it is looked at again: watchSwap
			what = "swap is off, but the device cannot be taken away yet: "
			d.drains = d.State() == StateDraining
		}
		d.log.Error(what + err.Error())
		if err := d.saved.change(func(s *saved) { s.Stopping = false }); err != nil {
			d.log.Error(err.Error())
		}
		d.setState(StateServing)
		return
	}
	if d.State() == StateStopping {
		d.end(0)
		return
	}
	d.setState(StateDrained)
}

// end takes everything away, and ends the process with a code. Swap is off.
func (d *Daemon) end(code int) {
	if code != sdnotify.HandOver { // systemd would not hear of a next one
		d.notify(sdnotify.Stopping)
	}
	if err := d.goPrivate(); err != nil {
		d.log.Error(err.Error())
	}
	if d.config.Pool.WipeOnFree {
		d.pool.Wipe()
	}
	if err := d.undo(); err != nil {
		d.log.Error("at the end: " + err.Error())
		code = 1
	}
	d.log.Info("stopped; nothing is left")
	d.done, d.code = true, code
}
