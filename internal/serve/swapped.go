package serve

import (
	"errors"
	"time"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// watchEvery is how long at most until a daemon looks again whether its swap is on. The kernel wakes it earlier.
const watchEvery = 10 * time.Second

// watchSwap tells the loop when swap is off that we did not turn off: systemd does so at shutdown, and people do it by hand.
func (d *Daemon) watchSwap() {
	err := swapdev.Watch(watchEvery, func() bool {
		if _, err := d.door.Used(); d.State() == StateServing && errors.Is(err, swapdev.ErrOff) {
			select {
			case d.gone <- struct{}{}:
			default: // it has been told, and has not come to it
			}
		}
		return true
	})
	d.log.Warn("whoever turns swap off in our place will not be noticed: " + err.Error())
}

// swapIsGone ends a daemon whose swap somebody else has turned off: all pages are back, and none will come. If swap is on again
// by now, as when its priority was changed by hand, it serves on.
func (d *Daemon) swapIsGone() error {
	if d.State() != StateServing {
		return nil // it is our own doing
	}
	if _, err := d.door.Used(); !errors.Is(err, swapdev.ErrOff) {
		return err
	}
	if d.drains {
		d.drains = false
		return d.off(StateDraining, false)
	}
	d.log.Warn("swap on " + d.door.Device() + " was turned off by somebody else: there is nothing to serve any more, so this is the end")
	return d.off(StateStopping, false)
}
