package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// catchSignals takes those that mean something to a daemon, and ignores those that would stop or end one by mistake: Ctrl-\ in a
// terminal reaches the keeper as well, and what is swapped out would be lost. SIGABRT still shows what all goroutines do.
func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	signal.Ignore(unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGQUIT)
	return c
}

// loop is the daemon's life.
func (d *Daemon) loop(signals <-chan os.Signal) {
	defer close(d.over)
	for !d.done {
		select {
		case s := <-signals:
			if err := d.signal(s); err != nil {
				d.log.Error(err.Error())
			}
		case order := <-d.orders:
			order()
		case err := <-d.drained:
			d.swapIsOff(err)
		case <-d.gone:
			if err := d.swapIsGone(); err != nil {
				d.log.Error(err.Error())
			}
		case err := <-d.door.Failed():
			d.log.Error("a bug of ours: " + err.Error())
			d.failed = true
		}
		d.next()
	}
}

// next does what the event before has led to.
func (d *Daemon) next() {
	if d.failed && d.State() == StateServing { // later, if swap is being turned off now and then stays on
		d.failed, d.leaving = false, true
	}
	if d.ending {
		d.end(0)
	}
	if d.leaving {
		d.leaving = false
		if err := d.handOver(); err != nil {
			d.log.Error("cannot be replaced: " + err.Error())
		}
	}
}

func (d *Daemon) signal(s os.Signal) error {
	switch s {
	case unix.SIGHUP:
		_, _ = d.reload() // it has said what is wrong
	case unix.SIGUSR2:
		err := d.upgrade(d.o.Program)
		if err != nil { // systemctl restart waits until it can; systemctl status says for what
			d.notify(sdnotify.Status(fmt.Sprintf("%s; asked to hand over, but %v", d.State(), err)))
		}
		return err
	case unix.SIGUSR1: // what force says
		return d.stop(true)
	default:
		return d.askedToStop()
	}
	return nil
}

// askedToStop is stop by a signal, as systemd sends it, again and again while it is refused. Whoever waits is told what he can do.
func (d *Daemon) askedToStop() error {
	err := d.stop(false)
	if errors.Is(err, ErrBusy) {
		return nil // it is at it
	}
	var room *swapdev.NoRoomError
	if errors.As(err, &room) {
		err = fmt.Errorf("%w. It goes on serving; %s", err, d.wayOut())
		d.notify(sdnotify.Status(fmt.Sprintf("%s; asked to stop, but %v", d.State(), err)))
	}
	return err
}

// wayOut says what can be done about a stop that was refused.
func (d *Daemon) wayOut() string {
	const force = "to stop all the same, and have the kernel end programs: zswapd stop --force"
	if os.Getenv("INVOCATION_ID") == "" || d.o.Manager == nil {
		return force
	}
	return "systemd waits, and it stops as soon as there is room; " + force +
		"; to leave it running: systemctl --no-block start zswapd; systemctl kill -s SIGUSR2 --kill-whom=main zswapd"
}

// do has the loop carry something out, and waits for it; if the loop does not come to it before ctx ends, it is not done. It
// is for other goroutines.
func (d *Daemon) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case d.orders <- func() { result <- f() }:
		return <-result
	case <-d.over:
		return ErrEnding
	case <-ctx.Done():
		return fmt.Errorf("it is busy, and has not begun with that: %w", ctx.Err())
	}
}

// ErrEnding: there is nobody who takes orders any more.
var ErrEnding = errors.New("it is about to end")

// handOver leaves everything to a successor, which the manager starts.
func (d *Daemon) handOver() error {
	if err := d.canHandOver(); err != nil {
		return err
	}
	d.notify(sdnotify.Status("handing over"))
	d.log.Info("handing over to the next daemon")
	if d.State() == StateDrained { // nothing is left but us
		d.end(sdnotify.HandOver)
		return nil
	}
	if err := d.goPrivate(); err != nil {
		d.log.Error(err.Error())
	}
	if err := d.door.Release(); err != nil {
		d.log.Error(err.Error()) // what it is about is in the manager's store all the same
	}
	d.done, d.code = true, sdnotify.HandOver
	return nil
}

// canHandOver returns why not: nobody keeps what must outlive this process. After a drain nothing must, and the next daemon begins
// anew, with swap on.
func (d *Daemon) canHandOver() error {
	if s := d.State(); s != StateServing && s != StateDrained {
		return fmt.Errorf("not now: it is %s", s)
	}
	if d.o.Manager == nil {
		return errors.New("nobody keeps what is swapped out while this process is replaced: start it with --keeper, or as a unit of systemd")
	}
	return d.o.Manager.Barrier() // it is there
}
