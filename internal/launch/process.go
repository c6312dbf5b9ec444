package launch

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a command that was started. Its methods may be called concurrently, Wait by one caller.
type Process struct {
	pid int // immutable

	mu   sync.Mutex
	done bool // guarded by mu: reaped, the number may be somebody else's
}

// Status is how a command ended.
type Status struct {
	Code   int         // its exit code; 128 plus the signal's number if one ended it
	Signal unix.Signal // 0: it exited by itself
	Usage  unix.Rusage // of it and the children that it waited for
}

// PID returns the command's process number.
func (p *Process) PID() int { return p.pid }

// Signal sends a signal to the command; nothing happens if it has ended.
func (p *Process) Signal(s unix.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return nil
	}
	return unix.Kill(p.pid, s)
}

// Wait waits until the command ends. One that the terminal stops (Ctrl-Z, or reading in the background) is continued: we
// are not to stop, so the shell that would continue it never learns of it.
func (p *Process) Wait() (Status, error) {
	for {
		// Leave it in place while waiting, take it under the lock: Signal must not hit its successor.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Status{}, err
		}
		var w unix.WaitStatus
		var s Status
		p.mu.Lock()
		pid, err := unix.Wait4(p.pid, &w, unix.WUNTRACED|unix.WNOHANG, &s.Usage)
		p.done = p.done || pid == p.pid && !w.Stopped()
		p.mu.Unlock()
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return Status{}, err
		case err != nil || pid != p.pid:
		case w.Stopped():
			p.resume(w.StopSignal())
		case w.Signaled():
			s.Signal, s.Code = w.Signal(), codeSignal+int(w.Signal())
			return s, nil
		default:
			s.Code = w.ExitStatus()
			return s, nil
		}
	}
}

// backgroundWait is how often a command that wants the terminal from the background may try again.
const backgroundWait = time.Second

func (p *Process) resume(why unix.Signal) {
	switch why {
	case unix.SIGTSTP:
		_ = p.Signal(unix.SIGCONT)
	case unix.SIGTTIN, unix.SIGTTOU:
		time.AfterFunc(backgroundWait, func() { _ = p.Signal(unix.SIGCONT) })
	} // SIGSTOP: somebody means it, and will continue it
}
