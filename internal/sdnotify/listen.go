package sdnotify

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"

	firstFD = 3
)

// Listen takes the descriptors that this process was started with, by name, and sets them to be closed on exec. Those of a
// name that comes twice are one too many: the last counts, the others are closed. The environment no longer names them.
func Listen() (map[string]int, error) {
	pid, count, names := os.Getenv(listenPID), os.Getenv(listenFDs), os.Getenv(listenNames)
	for _, name := range []string{listenPID, listenFDs, listenNames, "LISTEN_PIDFDID"} {
		_ = os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // none, or another process's
	}
	n, err := strconv.Atoi(count)
	list := strings.Split(names, ":")
	if err != nil || n < 0 || n > 0 && len(list) != n {
		return nil, fmt.Errorf("%s=%s, %s=%s: want as many names as descriptors", listenFDs, count, listenNames, names)
	}
	held := map[string]int{}
	for i := range n {
		fd := firstFD + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("descriptor %d, %s: %w", fd, list[i], err)
		}
		if old, twice := held[list[i]]; twice {
			_ = unix.Close(old)
		}
		held[list[i]] = fd
	}
	return held, nil
}

// Shim is the hidden first argument of a process that is about to become a service: LISTEN_PID can only be told by the
// process itself.
const Shim = "__listen"

// ListenEnvironment returns what tells a service of its descriptors, but for its own number, which the shim adds.
func ListenEnvironment(names []string) []string {
	return []string{listenFDs + "=" + strconv.Itoa(len(names)), listenNames + "=" + strings.Join(names, ":")}
}

// Main must be called first in main(). In a process that is a shim it executes the service, or says why not, and does not
// return. The arguments of a shim are the program's path and then all arguments of the service, its name first. before is
// called first, on the thread that executes; what it cannot do the service does without.
func Main(before func() error) {
	if len(os.Args) < 4 || os.Args[1] != Shim {
		return
	}
	runtime.LockOSThread()
	if err := before(); err != nil {
		fmt.Fprintf(os.Stderr, "zswapd: %v\n", err)
	}
	err := os.Setenv(listenPID, strconv.Itoa(os.Getpid()))
	if err == nil {
		err = syscall.Exec(os.Args[2], os.Args[3:], os.Environ())
	}
	fmt.Fprintf(os.Stderr, "zswapd: start %s: %v\n", os.Args[2], err)
	os.Exit(ShimFailed)
}

// ShimFailed is the exit code of a shim whose program cannot be executed.
const ShimFailed = 127
