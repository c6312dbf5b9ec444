package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/sdnotify"
)

// Options say what to keep.
type Options struct {
	Program  string        // absolute path of the daemon's program
	Args     []string      // of the daemon, its name first
	Dir      string        // for the socket; nobody else may write there
	Watchdog time.Duration // a daemon that says nothing for so long is killed; 0: never
	Say      func(string)  // tells people; it must not wait. The daemon has a log of its own

	Manager *sdnotify.Manager // of the keeper itself, systemd; nil: there is none
	Handed  map[string]int    // what that had in store

	AskEvery time.Duration // 0: askEvery
}

// Env is in the daemon's environment: the keeper's process number.
const Env = "ZSWAPD_KEEPER"

// ProgramEnv is, too, if the keeper has a manager: the path of the keeper's own program, which that starts when both hand over.
const ProgramEnv = "ZSWAPD_PROGRAM"

// keeper is one goroutine; others only wait in the kernel for it.
type keeper struct {
	Options
	socket  *socket
	store   store
	backoff backoff
	pets    time.Duration // how often a daemon is to say that it comes along: the keeper's manager hears that as well; 0: never
	program string        // to be started next
	tried   string        // that the daemon has checked and asked for, and that was not ready yet; "": none
	child   *child        // nil between two
	standby standby
	ended   chan ending
	signals chan os.Signal
	pending []unix.Signal    // to be passed on
	stop    unix.Signal      // that was the last to ask for the end, and when; a daemon that dies at once may not have heard of it
	stopAt  time.Time        //
	asked   unix.Signal      // what our manager waits for, and the daemon has not done yet: to hand over or to stop; 0: nothing
	again   <-chan time.Time // when to ask it again
}

// askEvery is how often a daemon is asked again: to hand over, while the program in its place is none that could take over; to stop,
// while memory has no room for what is swapped out. systemd cannot be told that it does not; it waits.
const askEvery = 30 * time.Second

// warmHeap is the heap that is faulted in for the keeper's whole life, in bytes.
const warmHeap = 1 << 20

// handOver is the signal that asks for a successor: of the daemon, and, where the keeper has a manager, of the keeper, too.
const handOver = unix.SIGUSR2

// passedOn are the signals that the daemon is sent when the keeper gets them.
var passedOn = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, handOver}

// unheard is how long after a signal a daemon that does not hang has heard it.
const unheard = 10 * time.Second

// Run keeps a daemon until it is done, and returns its exit code.
func Run(o Options) (code int, err error) {
	o.AskEvery = cmp.Or(o.AskEvery, askEvery)
	k := &keeper{Options: o, program: o.Program, ended: make(chan ending, 8), signals: make(chan os.Signal, 8)}
	signal.Notify(k.signals, passedOn...)
	k.pets = sooner(o.Watchdog, sdnotify.Watchdog())
	sdnotify.ClearEnvironment() // what a manager of ours said is not the daemon's
	for name, fd := range o.Handed {
		k.store.add(name, fd)
	}
	signal.Ignore(unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGQUIT)
	if k.socket, err = listen(o.Dir); err != nil {
		return 1, fmt.Errorf("keeper: %w", err)
	}
	defer func() { err = errors.Join(err, k.socket.close()) }()
	if err := guard.Warm(warmHeap); err != nil {
		k.Say("keeper: " + err.Error())
	}
	defer k.store.removeAll()
	defer k.endStandby()
	return k.loop()
}

func (k *keeper) loop() (code int, err error) {
	watchdog := time.NewTimer(never)
	defer watchdog.Stop()
	for {
		if k.child == nil {
			if err := k.start(); err != nil {
				return 1, err
			}
		}
		watchdog.Reset(k.child.patience(k.Watchdog))
		select {
		case <-k.socket.readable:
			k.socket.receive(k.hear)
			k.socket.again <- true
		case s := <-k.signals:
			if k.Manager != nil && (s == handOver || s == unix.SIGTERM) {
				k.asked, k.again = s.(unix.Signal), time.After(k.AskEvery)
			}
			if s == unix.SIGTERM || s == unix.SIGINT {
				k.stop, k.stopAt = s.(unix.Signal), time.Now()
			}
			k.pass(s.(unix.Signal))
		case <-k.again:
			k.again = time.After(k.AskEvery)
			k.pass(k.asked)
		case e := <-k.ended:
			k.socket.receive(k.hear) // what it said before
			if e.child != k.child {
				k.standby.ended(e.child)
				continue
			}
			if done, code := k.bury(e); done {
				return code, nil
			}
		case <-watchdog.C:
			if !k.child.aborted {
				k.Say(fmt.Sprintf("keeper: process %d has not come along for %v: killed", k.child.pid, k.Watchdog))
			}
			k.child.abort()
		}
	}
}

// start starts the daemon, with all that is in store. While there is something, it does not give up: nobody else would serve it.
func (k *keeper) start() (err error) {
	for {
		time.Sleep(k.backoff.pause())
		program := cmp.Or(k.tried, k.program)
		if k.child, err = k.spawn(program); err == nil {
			return nil
		}
		err = fmt.Errorf("keeper: start %s: %w", program, err)
		if k.store.empty() {
			return err
		}
		k.Say(err.Error() + ": trying again") // no memory, perhaps, or too many processes
		k.backoff.failed()
		k.tried = ""
	}
}

// hear does what the daemon asks for.
func (k *keeper) hear(p *packet) {
	m := sdnotify.ParseMessage(string(p.text))
	if k.standby.is(p.pid) {
		k.standby.ready = k.standby.ready || m.Prepared
		return
	}
	if k.child == nil || p.pid != k.child.pid {
		return
	}
	if m.Store || m.Remove { // what it holds is no longer what there is
		k.endStandby()
	}
	if m.Pet || m.Ready { // all else is no sign that pages come along: a status, say, while swap is turned off
		k.child.heard = time.Now()
	}
	if err := k.Manager.Relay(p.text, p.fds); err != nil {
		k.Say(fmt.Sprintf("keeper: %v", err))
	}
	switch {
	case m.Store && m.Name != "":
		k.store.add(m.Name, p.take())
	case m.Remove && m.Name != "":
		k.store.remove(m.Name)
	}
	if m.Binary != "" {
		k.tried = m.Binary
	}
	if m.Ready {
		k.child.ready = true
		k.backoff.reset()
		k.passOn()
		if k.tried != "" && k.child.program == k.tried {
			k.program, k.tried = k.tried, ""
		}
	}
	k.standby.wanted = k.standby.wanted || m.WantStandby
	k.startStandby()
}

// pass passes a signal on, now or later.
func (k *keeper) pass(s unix.Signal) {
	if !slices.Contains(k.pending, s) {
		k.pending = append(k.pending, s)
	}
	k.passOn()
}

// passOn passes signals on. One that takes over from another is not disturbed until it is ready: it may not listen yet.
func (k *keeper) passOn() {
	if k.child == nil || !k.child.ready && !k.store.empty() {
		return
	}
	for _, s := range k.pending {
		k.child.signal(s)
	}
	k.pending = nil
}

// bury looks at how a daemon ended, and reports whether that is the end of the keeper, too.
func (k *keeper) bury(e ending) (done bool, code int) {
	c := k.child
	k.child = nil
	code = e.status.ExitStatus() // -1 if a signal ended it
	handsOver := code == sdnotify.HandOver
	if c.program == k.tried && !(c.ready && handsOver) { // it has not asked for its own file anew: back to the one that was
		k.tried = ""
	}
	switch {
	case code == 0:
		return true, 0
	case code == sdnotify.ShimFailed: // its file is gone, or none any more: ours is what it was
		k.program = "/proc/self/exe"
	}
	if k.store.empty() && !handsOver {
		if e.status.Signaled() {
			k.Say(fmt.Sprintf("keeper: %s", e.text()))
			return true, 128 + int(e.status.Signal())
		}
		return true, code
	}
	if handsOver { // it wants another program, or its own file anew
		k.endStandby()
		// Our manager may want that of us, too; it has all that is in store. But it starts our program, not one that the daemon has
		// checked in its place.
		return k.asked == handOver && (k.tried == "" || k.tried == k.Program), code
	}
	switch { // it may have died of something else than what it was asked for
	case k.asked != 0:
		k.pending = append(k.pending, k.asked)
	case k.stop != 0 && time.Since(k.stopAt) < k.Watchdog+unheard: // with nobody who asks again, what was refused is not held against the next
		k.pending = append(k.pending, k.stop)
	}
	if !c.ready {
		k.backoff.failed()
	}
	if k.tried == "" && k.promote() {
		k.Say(fmt.Sprintf("keeper: %s: process %d, which was ready, goes on", e.text(), k.child.pid))
		return false, 0
	}
	k.endStandby()
	k.Say(fmt.Sprintf("keeper: %s: starting the next one", e.text()))
	return false, 0
}
