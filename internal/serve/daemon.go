package serve

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/pmqos"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// States of a daemon.
const (
	StateStarting = "starting"
	StateServing  = "serving"
	StateDraining = "draining" // swap is being turned off
	StateStopping = "stopping" // likewise, and then it ends
	StateDrained  = "drained"  // swap is off
)

// Daemon is a daemon that runs. The fields are the main loop's, but for those that say otherwise.
type Daemon struct {
	o   Options
	log *zap.Logger
	why string // this door

	config  *config.Config    // the last one that was right
	pending map[string]string // of its settings those that are not in force, and what is

	prepared *prepared // of a standby
	handles  []string  // that are in the manager's store
	instance *instance
	saved    *savedFile
	record   *swapdev.Run
	pool     *zpool.Pool // immutable after the start
	hold     *pmqos.Hold
	door     *door.Door // immutable after the start

	state   atomic.Value  // of string; read by anybody
	orders  chan func()   // that the loop carries out
	drained chan error    // the end of a swapoff
	gone    chan struct{} // swap is off, and it was not us
	drains  bool          // swap was to be turned off and is, and what is left is to be taken away
	leaving bool          // a successor is to be made room for, when whoever asked has got his answer
	ending  bool          // likewise, the end is to come
	failed  bool          // a panic of ours was seen: a successor is to be made room for as soon as that is possible
	done    bool          // the loop is to end, with code
	code    int
	over    chan struct{} // closed at the end of the loop
	servers []*control.Server

	mu       sync.Mutex // for others than the loop to read, and the loop to write: config, pending, and
	broken   string     // what is wrong with the configuration as it is now; "": nothing
	told     saved      // what is saved, as far as it does not change
	problems []string   // what went wrong; written by anybody
	warnings []string   // what could be better
}

// Run serves until it is told to stop, or to hand over, and returns the exit code of the process. guard.Protect and what is
// in doc.go's first column must have been called.
func Run(o Options) (code int, err error) {
	d := &Daemon{
		o: o, log: o.Log.Logger, config: o.Config, pending: map[string]string{},
		orders: make(chan func()), drained: make(chan error, 1),
		gone: make(chan struct{}, 1), over: make(chan struct{}), code: sdnotify.HandOver,
	}
	d.state.Store(StateStarting)
	signals := catchSignals() // from here on one that comes is not lost
	ended, err := d.begin(signals)
	if err != nil {
		return 1, err
	}
	if ended {
		return d.code, nil
	}
	d.setState(StateServing)
	d.code = 0
	if d.wantStandby() {
		d.notify(sdnotify.Ready, sdnotify.WantStandby)
	} else {
		d.notify(sdnotify.Ready)
	}
	d.afterwards()
	d.loop(signals)
	return d.code, d.goPrivate()
}

// begin opens a door or adopts one.
func (d *Daemon) begin(signals <-chan os.Signal) (ended bool, err error) {
	if len(d.o.Handed) > 0 {
		adopted, ended, err := d.takeOver(signals)
		if adopted || ended || err != nil {
			return ended, err
		}
	}
	return false, d.open()
}

// afterwards does what can wait until there is somebody who serves.
func (d *Daemon) afterwards() {
	d.warm()
	d.told = d.saved.now
	d.goPublic() // gives the socket to its group, which takes a privilege
	d.dropPrivileges()
	d.instance.note(fmt.Sprintf("process %d serves swap on %s", os.Getpid(), d.door.Device()))
	if every := sdnotify.Watchdog(); every > 0 {
		go d.watchdog(every)
	}
	if d.o.Keeper != 0 {
		go d.watchKeeper()
	}
	go d.watchSwap()
	go d.watchBacking(warnEvery)
	d.warn(d.saved.now.Restarts == 0)
	if d.saved.now.Restarts > 0 {
		if _, err := d.reload(); err != nil { // it has said what is wrong
			d.apply(d.config, d.diff(d.config)) // what was pending can be had all the same
		}
	}
	if d.saved.now.Stopping {
		d.log.Info("a stop was under way: going on with it")
		if err := d.stop(false); err != nil {
			d.log.Error(err.Error()) // whoever wants it still asks again
			if err := d.saved.change(func(s *saved) { s.Stopping = false }); err != nil {
				d.log.Error(err.Error())
			}
		}
	}
}

// warn notes what is not as it should be. A successor does not say it again.
func (d *Daemon) warn(say bool) {
	list := append(d.o.Warnings, d.door.Warnings()...)
	switch {
	case d.o.Manager != nil && d.o.Keeper == 0 && !sdnotify.HasStore():
		list = append(list, sdnotify.NoStore)
	case d.o.Manager == nil:
		list = append(list, "nobody keeps what is swapped out: if this process is killed, it is lost. Run zswapd serve --keeper, or the unit of systemd")
	}
	if d.saved.now.Door == config.DoorFUSE {
		list = append(list, fuseWarning)
	}
	for _, w := range list {
		if say {
			d.log.Warn(w)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warnings = list
}

func (d *Daemon) setState(s string) {
	d.state.Store(s)
	d.notify(sdnotify.Status(s))
}

// State returns how far the daemon is.
func (d *Daemon) State() string { return d.state.Load().(string) }

// notify tells the manager, if it can be told now.
func (d *Daemon) notify(lines ...string) { _ = d.o.Manager.Notify(lines...) }

// provider is the thread that waits for memory.
func (d *Daemon) provider() {
	if err := guard.Provider(); err != nil {
		d.log.Warn("pages may be refused when the machine is short of memory: " + err.Error())
	}
}

// resolveHold measures whether a hold is worth having, if it is to be found out. A successor does not ask again: it takes time.
func resolveHold(rate float64) float64 {
	if rate != config.HoldAuto {
		return rate
	}
	if t, err := pmqos.WakeUp(); err == nil && t < worthHolding {
		return config.HoldOff
	}
	return holdRate
}

// openHold makes the latency hold.
func (d *Daemon) openHold() {
	var err error
	rate := d.saved.now.HoldRate
	if d.hold, err = pmqos.New(pmqos.Options{Threshold: max(rate, 0), Disable: rate < 0}); err != nil {
		d.log.Warn("pages will come back slower than they could: " + err.Error())
	}
}

// Faults per second from which on CPUs are kept awake, and the least time of a wake-up for which that is worth it.
const (
	holdRate     = 200
	worthHolding = 10 * time.Microsecond
)
