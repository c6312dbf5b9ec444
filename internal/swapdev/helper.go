package swapdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HelperCommand is the hidden first argument with which this program calls swapoff(2) for itself.
const HelperCommand = "__swapoff"

// killLimit is how long we wait for a swapoff that was told to stop. Longer means that it is still at the pages of one
// process, or waits for I/O that nobody answers. It ends by itself when that does.
const killLimit = 3 * time.Second

var helperReady atomic.Bool

// Main must be called first in main(). In a process that is a swapoff helper it does the work and exits; in any
// other it returns at once, having noted that helpers can be started.
func Main() {
	if len(os.Args) == 3 && os.Args[1] == HelperCommand {
		os.Exit(helper(os.Args[2]))
	}
	helperReady.Store(true)
}

// helper calls swapoff on its only thread that matters and prints the error number.
func helper(path string) int {
	runtime.LockOSThread()
	blockSignals()
	_ = unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0) // inherited, but we may and should reclaim
	err := swapoff(path)
	for errors.Is(err, unix.EINTR) {
		err = swapoff(path)
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	fmt.Printf("errno %d\n", int(errno))
	return 0
}

// off calls swapoff(2), in a helper if it can, until it is done or ctx ends.
func (t Target) off(ctx context.Context) error {
	if !helperReady.Load() {
		return offHere(ctx, t.path)
	}
	cmd := exec.Command("/proc/self/exe", HelperCommand, t.path)
	cmd.Env = []string{}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// If we die there is nobody to serve its reads: it dies with us. The signal is tied to the thread
	// that started it, so that thread stays with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return offHere(ctx, t.path)
	}
	select {
	case err := <-ended:
		return outcome(out.String(), err)
	case <-ctx.Done():
	}
	_ = cmd.Process.Kill()
	select {
	case err := <-ended:
		if outcome(out.String(), err) == nil {
			return nil // it was done just then
		}
		return context.Cause(ctx)
	case <-time.After(killLimit):
		return fmt.Errorf("%w; process %d is still in the kernel with it: much to bring back, or the server of the device does not answer", context.Cause(ctx), cmd.Process.Pid)
	}
}

// outcome reads what a helper printed.
func outcome(out string, err error) error {
	if number, ok := strings.CutPrefix(strings.TrimSpace(out), "errno "); ok && err == nil {
		if n, err := strconv.Atoi(number); err == nil {
			if n == 0 {
				return nil
			}
			return syscall.Errno(n)
		}
	}
	return fmt.Errorf("the helper failed (killed for want of memory?): %w %s", err, strings.TrimSpace(out))
}

// offHere calls swapoff(2) on a thread of this process. Only the signal with which we end the call reaches it.
func offHere(ctx context.Context, path string) error {
	thread, ended := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the signal mask dies with the thread
		blockSignals()
		thread <- unix.Gettid()
		err := swapoff(path)
		for errors.Is(err, unix.EINTR) && ctx.Err() == nil {
			err = swapoff(path)
		}
		ended <- err
	}()
	tid := <-thread
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	for end := time.Now().Add(killLimit); time.Now().Before(end); {
		_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
		select {
		case err := <-ended:
			if errors.Is(err, unix.EINTR) {
				err = context.Cause(ctx)
			}
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%w; thread %d is still in the kernel with it: much to bring back, or the server of the device does not answer", context.Cause(ctx), tid)
}

// blockSignals blocks every signal but SIGURG on the calling thread: a signal ends swapoff early.
func blockSignals() {
	var set unix.Sigset_t
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	set.Val[0] &^= 1 << (unix.SIGURG - 1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
}
