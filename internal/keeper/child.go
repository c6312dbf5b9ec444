package keeper

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/sdnotify"
)

// child is a daemon that runs.
type child struct {
	pid     int
	program string
	ready   bool
	heard   time.Time // when it said last that it comes along
	aborted bool
	dead    chan struct{} // closed when it is

	mu   sync.Mutex
	done bool // reaped: its number may be somebody else's. Guarded by mu
}

// ending is how a daemon ended.
type ending struct {
	child  *child
	status unix.WaitStatus
}

func (e ending) text() string {
	if e.status.Signaled() {
		return fmt.Sprintf("process %d was ended by signal %d (%v)", e.child.pid, e.status.Signal(), e.status.Signal())
	}
	return fmt.Sprintf("process %d ended with exit code %d", e.child.pid, e.status.ExitStatus())
}

// spawn starts a daemon, or a standby, with all that is in store. The loop is told when it is dead.
func (k *keeper) spawn(program string, more ...string) (*child, error) {
	names, fds := k.store.list()
	files := append([]uintptr{0, 1, 2}, fds...)
	files = append(files, uintptr(k.socket.file)) // behind those that it is told of
	env := append(os.Environ(), sdnotify.Environment(fmt.Sprintf("/proc/self/fd/%d", len(files)-1), k.pets)...)
	env = append(env, more...)
	env = append(env, sdnotify.ListenEnvironment(names)...)
	env = append(env, fmt.Sprintf("%s=%d", Env, os.Getpid()))
	if k.Manager != nil {
		env = append(env, ProgramEnv+"="+k.Program)
	}
	shim := append([]string{k.Args[0], sdnotify.Shim, program}, k.Args...)
	pid, err := syscall.ForkExec("/proc/self/exe", shim, &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		return nil, err
	}
	c := &child{pid: pid, program: program, heard: time.Now(), dead: make(chan struct{})}
	go c.wait(k.ended)
	return c, nil
}

// wait waits until the daemon is dead, all its threads with it: then nobody uses what it had.
func (c *child) wait(ended chan<- ending) {
	runtime.LockOSThread() // one thread for it, which Warm has made
	defer runtime.UnlockOSThread()
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, c.pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	var status unix.WaitStatus
	c.mu.Lock()
	_, err := unix.Wait4(c.pid, &status, 0, nil)
	for err == unix.EINTR {
		_, err = unix.Wait4(c.pid, &status, 0, nil)
	}
	c.done = true
	c.mu.Unlock()
	close(c.dead)
	ended <- ending{c, status}
}

func (c *child) signal(s unix.Signal) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		_ = unix.Kill(c.pid, s)
	}
}

const (
	never     = math.MaxInt64   // 292 years
	abortTime = 2 * time.Second // for the stacks of a daemon that hangs, which it writes itself
)

// patience returns how long to wait for a word. One that is not ready may have much to read.
func (c *child) patience(watchdog time.Duration) time.Duration {
	switch {
	case watchdog == 0 || !c.ready:
		return never
	case c.aborted:
		return abortTime
	}
	return max(watchdog-time.Since(c.heard), 0)
}

// abort ends a daemon that hangs: at first so that it says where.
func (c *child) abort() {
	if c.aborted {
		c.signal(unix.SIGKILL)
		return
	}
	c.aborted = true
	c.signal(unix.SIGABRT)
}

// sooner returns the shorter of two times of watchdogs, of which each may be 0 for none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
