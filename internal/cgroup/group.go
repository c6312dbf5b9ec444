package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	removeLimit = 2 * time.Second       // for processes that are on their way out
	retryWait   = 10 * time.Millisecond //
)

// A Group is a memory cgroup of ours. It is stateless: methods may be called concurrently, from any process.
type Group struct {
	dir     string
	version int // 1 or 2
}

// Path returns the group's folder.
func (g *Group) Path() string { return g.dir }

// ProcsFile returns the file that a process joins the group by: it writes 0 to it.
func (g *Group) ProcsFile() string { return filepath.Join(g.dir, "cgroup.procs") }

// Version returns 1 or 2, of the kernel's cgroup interface.
func (g *Group) Version() int { return g.version }

func (g *Group) setUp(limitBytes int64) error {
	if err := g.SetLimit(limitBytes); err != nil || g.version == 1 {
		return err
	}
	for _, s := range [][2]string{{"memory.swap.max", "max"}, {"memory.oom.group", "1"}} {
		// A kernel without them (swap accounting off, before 4.19) has nothing to set.
		if err := put(g.dir, s[0], s[1]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explain("set "+s[0], g.dir, err)
		}
	}
	return nil
}

// SetLimit changes the limit, in bytes. If more is in use the kernel makes room, at the group's expense: version 2 may
// kill, version 1 refuses with EBUSY.
func (g *Group) SetLimit(limitBytes int64) error {
	if err := checkLimit(limitBytes); err != nil {
		return err
	}
	name := "memory.max"
	if g.version == 1 {
		name = "memory.limit_in_bytes"
	}
	err := put(g.dir, name, strconv.FormatInt(limitBytes, 10))
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("set a limit of %d bytes in %s: %w: more is in use and cannot be swapped out", limitBytes, g.dir, err)
	}
	return explain("set "+name, g.dir, err)
}

// Add moves a process, with all its threads, into the group. What it has in memory already stays where it was charged.
func (g *Group) Add(pid int) error {
	return explain(fmt.Sprintf("add process %d", pid), g.dir, put(g.dir, "cgroup.procs", strconv.Itoa(pid)))
}

// Procs returns the processes of the group and of the groups below it, in order. Those of another process number
// space than ours (shown as 0) are left out.
func (g *Group) Procs() (pids []int, err error) {
	for _, dir := range g.dirs() {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // removed just now
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			continue // a threaded group: its processes are listed further up
		}
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// dirs returns the folders of the group and the groups below it, parents first.
func (g *Group) dirs() (list []string) {
	_ = filepath.WalkDir(g.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			list = append(list, path)
		}
		return nil // what vanished meanwhile is no matter
	})
	return list
}

// Kill ends all processes of the group and waits until none is left.
func (g *Group) Kill(limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(retryWait) {
		pids, err := g.Procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		if slices.Contains(pids, os.Getpid()) {
			return fmt.Errorf("%s holds ourselves, process %d: not killed", g.dir, os.Getpid())
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v in %s survive SIGKILL for %v: they wait for I/O", pids, g.dir, limit)
		}
		if err := put(g.dir, "cgroup.kill", "1"); err != nil {
			g.signal(pids)
		}
	}
}

// signal sends SIGKILL to those processes that are still in the group once we hold on to them: a process number
// may have gone to somebody else since it was read.
func (g *Group) signal(pids []int) {
	held := map[int]int{}
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			held[pid] = fd
			defer unix.Close(fd)
		}
	}
	still, _ := g.Procs()
	for _, pid := range still {
		if fd, ok := held[pid]; ok {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
}

// Remove removes the group and the groups below it, which must have no processes. It waits a moment for those that are
// just ending. A group that is gone already is no error.
func (g *Group) Remove() error {
	for end := time.Now().Add(removeLimit); ; time.Sleep(retryWait) {
		dirs := g.dirs()
		slices.Reverse(dirs) // children first
		var err error
		for _, dir := range dirs {
			if e := unix.Rmdir(dir); e != nil && e != unix.ENOENT && err == nil {
				err = &os.PathError{Op: "remove cgroup", Path: dir, Err: e}
			}
		}
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}
