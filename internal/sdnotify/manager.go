package sdnotify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names in the environment.
const (
	socketEnv   = "NOTIFY_SOCKET"
	watchdogEnv = "WATCHDOG_USEC"
	watchedEnv  = "WATCHDOG_PID"
)

// patience is how long a manager may take for a message that it must have.
const patience = 5 * time.Second

// ErrSilent: the manager did not do in time what it was asked for.
var ErrSilent = errors.New("the service manager does not answer")

// Manager is a service's way to its manager. Its methods may be called concurrently, and do nothing on a nil Manager.
type Manager struct {
	socket int
	to     *unix.SockaddrUnix
}

// FromEnv returns the manager that the environment names, nil if it names none.
func FromEnv() (*Manager, error) {
	path := os.Getenv(socketEnv)
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("%s=%s: want a path or an abstract name", socketEnv, path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
	}
	return &Manager{socket: fd, to: &unix.SockaddrUnix{Name: path}}, nil
}

// Notify sends lines, if the manager has room for them now.
func (m *Manager) Notify(lines ...string) error { return m.send(unix.MSG_DONTWAIT, nil, lines...) }

// Store puts copies of a descriptor into the manager's store.
func (m *Manager) Store(name string, fd int) error {
	if !validName(name) {
		panic("sdnotify: name of a descriptor: " + strconv.Quote(name))
	}
	return m.send(0, []int{fd}, fdStore, fdNoPoll, fdName+name)
}

// Remove makes the manager close what it has in store under a name.
func (m *Manager) Remove(name string) error { return m.send(0, nil, fdRemove, fdName+name) }

// Barrier waits until the manager has dealt with all that was sent before.
func (m *Manager) Barrier() error {
	if m == nil {
		return nil
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	defer unix.Close(pipe[0])
	err := errors.Join(m.send(0, pipe[1:], barrier), unix.Close(pipe[1]))
	if err != nil {
		return err
	}
	wait := []unix.PollFd{{Fd: int32(pipe[0])}} // the manager closes the other end
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll(wait, int(max(time.Until(end), 0)/time.Millisecond))
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return os.NewSyscallError("poll", err)
		case !time.Now().Before(end):
			return ErrSilent
		}
	}
}

// Relay says what a service has said to a manager that has one itself. What must arrive waits for it.
func (m *Manager) Relay(text []byte, fds []int) error {
	flags := 0
	if s := ParseMessage(string(text)); !s.Store && !s.Remove && !s.Barrier && !s.Ready {
		flags = unix.MSG_DONTWAIT
	}
	err := m.send(flags, fds, string(text))
	if errors.Is(err, ErrSilent) && flags != 0 { // there will be another one
		return nil
	}
	return err
}

func (m *Manager) send(flags int, fds []int, lines ...string) error {
	if m == nil {
		return nil
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(m.socket, []byte(strings.Join(lines, "\n")), rights, m.to, flags|unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return ErrSilent
		}
		return fmt.Errorf("tell the service manager %q: %w", lines[0], err)
	}
}

// Watchdog returns how often the manager wants to hear Pet at least; 0: it does not watch this process.
func Watchdog() time.Duration {
	if pid := os.Getenv(watchedEnv); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv(watchdogEnv), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// Environment returns what a manager tells a service: where to send, and how often it wants to hear Pet (0: never).
func Environment(socket string, watchdog time.Duration) []string {
	env := []string{socketEnv + "=" + socket}
	if watchdog > 0 {
		env = append(env, fmt.Sprintf("%s=%d", watchdogEnv, watchdog.Microseconds()))
	}
	return env
}

// ClearEnvironment makes what the manager of this process has told it unknown to those that it starts.
func ClearEnvironment() {
	for _, name := range []string{socketEnv, watchdogEnv, watchedEnv, listenPID, listenFDs, listenNames} {
		_ = os.Unsetenv(name)
	}
}

// HasStore reports whether systemd says that it keeps descriptors for us. Before version 254 it never says so.
func HasStore() bool { return os.Getenv("FDSTORE") != "" }

// NoStore is for people where HasStore is false.
const NoStore = "systemd does not say that it keeps what is swapped out (it does since version 254): the unit needs FileDescriptorStoreMax=, as in our zswapd.service"
