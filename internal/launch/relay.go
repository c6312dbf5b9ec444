package launch

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Relay keeps us alive through the signals that end a program, and passes them on to the command, until stop is called.
// SIGINT and SIGQUIT are passed on only when we are not the terminal's foreground group: there they come from
// the keyboard, and the command has got its own.
func (p *Process) Relay() (stop func()) {
	caught := make(chan os.Signal, 16)
	Notify(caught, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s := <-caught:
				keyboard := s == unix.SIGINT || s == unix.SIGQUIT
				if n, ok := s.(unix.Signal); ok && !(keyboard && foreground()) {
					_ = p.Signal(n)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(caught)
		close(quit)
		<-done
	}
}

// foreground reports whether the keyboard's signals go to our process group.
func foreground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
