package capture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zswapd/zswapd/internal/cgroup"
)

// Target says whose memory is meant: exactly one of its fields is set.
type Target struct {
	PID    int
	Cgroup string // as cgroup.Processes takes it
	System bool   // every process but kernel threads and ourselves
}

// String returns the target as a sentence has it.
func (t Target) String() string {
	switch {
	case t.System:
		return "all processes"
	case t.Cgroup != "":
		return "the cgroup " + t.Cgroup
	}
	return fmt.Sprintf("process %d", t.PID)
}

const procRoot = "/proc"

// Processes returns the numbers of the target's processes, in order. What is wrong with the target is an error: the
// user's. Our own process is never among them.
func (t Target) Processes() ([]int, error) {
	switch set := [...]bool{t.PID != 0, t.Cgroup != "", t.System}; {
	case count(set[:]) != 1:
		return nil, errors.New("whose memory? give one of --pid N, --cgroup PATH and --system")
	case t.PID != 0:
		return []int{t.PID}, checkPID(t.PID)
	case t.Cgroup != "":
		pids, err := cgroup.Processes(t.Cgroup)
		if err != nil {
			return nil, fmt.Errorf("--cgroup: %w", err)
		}
		return users(pids), nil
	}
	entries, err := os.ReadDir(procRoot)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return users(pids), nil
}

func count(set []bool) (n int) {
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}

// checkPID says why a process has no memory to look at.
func checkPID(pid int) error {
	kernel, err := isKernelThread(pid)
	switch {
	case pid == os.Getpid():
		return fmt.Errorf("--pid %d: that is zswapd itself", pid)
	case pid < 0 || errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("--pid %d: there is no such process", pid)
	case err != nil:
		return fmt.Errorf("--pid %d: %w", pid, err)
	case kernel:
		return fmt.Errorf("--pid %d: a kernel thread has no memory of its own", pid)
	}
	return nil
}

// users leaves out kernel threads, ourselves, and what has ended.
func users(pids []int) []int {
	return slices.DeleteFunc(pids, func(pid int) bool {
		kernel, err := isKernelThread(pid)
		return kernel || err != nil || pid == os.Getpid()
	})
}

const flagKthread = 0x200000 // PF_KTHREAD

func isKernelThread(pid int) (bool, error) {
	text, err := os.ReadFile(filepath.Join(procRoot, strconv.Itoa(pid), "stat"))
	if err != nil {
		return false, err
	}
	_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), " ") // a name may hold ") "
	f := strings.Fields(rest)                                                                       // state ppid pgrp session tty tpgid flags
	if len(f) < 7 {
		return false, fmt.Errorf("process %d: stat is %q", pid, text)
	}
	flags, err := strconv.ParseUint(f[6], 10, 32)
	return flags&flagKthread != 0, err
}
