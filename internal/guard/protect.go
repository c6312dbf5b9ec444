package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Names of the steps.
const (
	IOFlusher  = "io-flusher"
	MemoryLock = "memory-lock"
	OOMScore   = "oom-score"
	CoreFilter = "core-filter"
)

// Step is what became of one protection.
type Step struct {
	Name   string
	OK     bool
	Detail string // what was found: one line without a full stop
	Remedy string // what would make it work; "" when OK
}

func (s Step) String() string {
	if s.OK {
		return s.Name + ": " + s.Detail
	}
	return s.Name + ": " + s.Detail + " (" + s.Remedy + ")"
}

// Options of Protect.
type Options struct {
	// SkipIOFlusher leaves that step out, and with it the second execution of the program.
	SkipIOFlusher bool
	// KeepAtShutdown puts an @ before our name in the new life: systemd then spares us when it kills
	// what is left at shutdown, so that its swapoff finds us alive.
	KeepAtShutdown bool
}

// marker carries what was before from the first life to the second: "PID BEFORE". The process number stays the same
// over execve, so a child that inherits the variable by mistake is not taken in.
const marker = "ZSWAPD_GUARD"

const needResource = "run it as root with CAP_SYS_RESOURCE: in a unit, CapabilityBoundingSet= must include it; in a container, --cap-add SYS_RESOURCE"

// Protect takes every step and tells what became of each, and what was before: for Undo. It must come first in main,
// before any goroutine, file or thread that should last, because it may execute the program again, from the start.
func Protect(o Options) ([]Step, Before) {
	before, second := secondLife()
	if !second {
		before = now()
	}
	var steps []Step
	if !o.SkipIOFlusher {
		steps = append(steps, ioFlusher(o, before, second))
	}
	return append(steps, lockMemory(), lowerOOMScore(), coreFilter()), before
}

// secondLife reads the marker and removes it from the environment.
func secondLife() (Before, bool) {
	value, ok := os.LookupEnv(marker)
	if !ok {
		return Before{}, false
	}
	_ = os.Unsetenv(marker)
	pid, rest, _ := strings.Cut(value, " ")
	if pid != strconv.Itoa(os.Getpid()) {
		return Before{}, false
	}
	before, err := ParseBefore(rest)
	return before, err == nil
}

// ioFlusher returns only when there is nothing to do, nothing that can be done, or in the second life.
func ioFlusher(o Options, before Before, second bool) Step {
	if threads, covered, err := flushers(); err == nil && threads == covered {
		return checkIOFlusher() // in the second life, or inherited from whoever started us
	}
	failed := Step{Name: IOFlusher, Remedy: needResource}
	if second {
		return checkIOFlusher()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 1, 0, 0, 0)
	switch err {
	case nil:
	case unix.EINVAL:
		failed.Detail, failed.Remedy = "this kernel does not have it", "use Linux 5.6 or later"
		return failed
	default:
		failed.Detail = fmt.Sprintf("the kernel refuses: %v", err)
		return failed
	}
	err = again(o, before)
	_ = unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0)
	failed.Detail, failed.Remedy = fmt.Sprintf("cannot execute ourselves again: %v", err), "mount /proc, and keep the program's file readable"
	return failed
}

// again executes the program anew with the same arguments. It returns only if it fails.
func again(o Options, before Before) error {
	args := append([]string{}, os.Args...)
	if o.KeepAtShutdown && !strings.HasPrefix(args[0], "@") {
		args[0] = "@" + filepath.Base(args[0])
	}
	env := append(os.Environ(), fmt.Sprintf("%s=%d %s", marker, os.Getpid(), before))
	return syscall.Exec(self(), args, env)
}

// self returns a path of the running program: its own if it still leads to it, because the process is named after it, else
// the kernel's link, which works after an upgrade has replaced the file.
func self() string {
	const link = "/proc/self/exe"
	if path, err := os.Readlink(link); err == nil {
		a, err1 := os.Stat(path)
		b, err2 := os.Stat(link)
		if err1 == nil && err2 == nil && os.SameFile(a, b) {
			return path
		}
	}
	return link
}
