package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/loadtest"
)

// status returns a value of /proc/PID/status.
func status(t *testing.T, pid int, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	noErr(t, err)
	for line := range strings.Lines(string(text)) {
		if k, v, _ := strings.Cut(line, ":"); k == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func capabilities(t *testing.T, pid int, key string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(status(t, pid, key), 16, 64)
	noErr(t, err)
	return v
}

// TestServePowers: once it serves, it has what it takes to turn swap off, in all threads; and what it executes gets no more than
// a service needs.
func TestServePowers(t *testing.T) {
	s := startService(t, binary, newState(t), "--keeper")
	pid := s.serving()
	const may = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_IPC_LOCK
	const start = may | 1<<unix.CAP_SYS_NICE | 1<<unix.CAP_CHOWN
	s.wait("to drop powers", func() bool { return capabilities(t, pid, "CapEff")&^may == 0 })
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	noErr(t, err)
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		if !alive(tid) { // a thread may end
			continue
		}
		for key, allowed := range map[string]uint64{"CapEff": may, "CapPrm": may, "CapInh": 0, "CapBnd": start} {
			if has := capabilities(t, tid, key); has&^allowed != 0 {
				t.Errorf("thread %d: %s %x, want none but %x", tid, key, has, allowed)
			}
		}
		if status(t, tid, "NoNewPrivs") != "1" {
			t.Errorf("thread %d may gain privileges", tid)
		}
	}
	s.stop()
}

// TestServeIsLocked: the keeper and the daemon have no page that could be swapped out, and say to be spared at shutdown.
func TestServeIsLocked(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	noErr(t, l.Finish())
	for _, pid := range []int{s.cmd.Process.Pid, s.serving()} {
		if status(t, pid, "VmSwap") != "0 kB" || status(t, pid, "VmLck") == "0 kB" {
			t.Errorf("process %d: %s swapped out, %s locked", pid, status(t, pid, "VmSwap"), status(t, pid, "VmLck"))
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		noErr(t, err)
		// The keeper gets its mark when it executes itself as an I/O flusher, which takes a privilege.
		if pid != s.cmd.Process.Pid && cmdline[0] != '@' {
			t.Errorf("process %d is called %q", pid, cmdline)
		}
	}
	s.stop()
}

// TestServeHostile: what a local user without privileges tries.
func TestServeHostile(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	daemon, keeper := s.serving(), s.cmd.Process.Pid
	for what, script := range map[string]string{
		"look into the daemon's memory":   fmt.Sprintf("dd if=/proc/%d/mem bs=1 count=1", daemon),
		"look into the keeper's memory":   fmt.Sprintf("dd if=/proc/%d/mem bs=1 count=1", keeper),
		"find the store's descriptor":     fmt.Sprintf("ls /proc/%d/fd", keeper),
		"open the store by the daemon's":  fmt.Sprintf("cat /proc/%d/fd/3", daemon),
		"learn where the store is mapped": fmt.Sprintf("test -s /proc/%[1]d/maps && head -1 /proc/%[1]d/maps", daemon),
		"sample the daemon's pages":       fmt.Sprintf("%s capture --pid %d -o /dev/null", binary, daemon),
		"read the swap device":            "dd if=" + s.device + " bs=4096 count=1",
		"write to the swap device":        "dd if=/dev/zero of=" + s.device + " bs=4096 count=1",
		"turn swap off":                   "swapoff " + s.device,
		"kill the daemon":                 fmt.Sprintf("kill -9 %d", daemon),
		"kill the keeper":                 fmt.Sprintf("kill -9 %d", keeper),
		"look around in the state folder": "ls " + state,
		"have the daemon replaced":        binary + " upgrade --socket " + socketOf(state) + " --binary /bin/true",
		"serve as well":                   binary + " serve --state " + state,
	} {
		c := exec.Command("/bin/sh", "-c", script)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		c.Dir = "/"
		if out, err := c.CombinedOutput(); err == nil {
			t.Errorf("nobody could %s: %.200q", what, out)
		}
	}
	l.GoesOn(t)
	if now := s.serving(); now != daemon || !alive(keeper) {
		t.Errorf("process %d serves in the place of %d", now, daemon)
	}
	for _, pattern := range []string{"keeper-*.sock", "control.sock", "serve.lock", "*.json"} {
		paths, err := filepath.Glob(filepath.Join(state, pattern))
		noErr(t, err)
		if len(paths) != 1 {
			t.Errorf("%s: %v", pattern, paths)
		}
		for _, p := range paths {
			info, err := os.Lstat(p)
			noErr(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", p, info.Mode())
			}
		}
	}
	if mounts, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", daemon)); strings.Contains(string(mounts), "fuse.zswapd") {
		t.Error("the mount can be seen")
	}
	noErr(t, l.Finish())
	s.stop()
}

// TestServeStuck: a daemon whose serving threads stand still, while all else in it runs, is replaced: the watchdog looks at
// requests, not at a clock.
func TestServeStuck(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper", "--watchdog", "2s")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	time.Sleep(500 * time.Millisecond)
	was := s.serving()
	release := stopThreads(t, was, fuse.ThreadName)
	s.wait("to be killed", func() bool { return s.says(fmt.Sprintf("process %d has not come along for 2s", was)) })
	s.wait("to die", func() bool { return !alive(was) })
	release() // or the keeper, who waits for its last thread, would wait for us
	s.replaced(was)
	noErr(t, l.Finish())
	s.stop()
}

// TestServeStuckInStop: so is one that is turning swap off, whatever it says of that, and the next one goes on with it.
func TestServeStuckInStop(t *testing.T) {
	s := startService(t, binary, newState(t), "--keeper", "--watchdog", "2s")
	l := frozen(t, s)
	r, was := s.record(), s.serving()
	release := stopThreads(t, was, fuse.ThreadName)
	noErr(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.wait("to be killed", func() bool { return s.says(fmt.Sprintf("process %d has not come along for 2s", was)) })
	s.wait("to die", func() bool { return !alive(was) })
	release()
	s.hasEnded(0)
	mustContain(t, s.log.String(), "swap is off after") // whether the first had begun with it, or its threads had stopped before that
	s.nothingLeft(r)
	thaw(t, l)
}

// stopThreads stops those threads of a process that have a name, as a debugger does. release lets go of what is left of them.
func stopThreads(t *testing.T, pid int, name string) (release func()) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	noErr(t, err)
	runtime.LockOSThread() // who traces is a thread
	var stopped []int
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", pid, tid)); strings.TrimSpace(string(comm)) != name {
			continue
		}
		if err := unix.PtraceSeize(tid); err != nil {
			t.Skip("threads cannot be stopped here: ", err)
		}
		noErr(t, unix.PtraceInterrupt(tid))
		stopped = append(stopped, tid)
	}
	if len(stopped) == 0 {
		t.Fatalf("no thread is called %s", name)
	}
	return func() {
		for _, tid := range stopped {
			var w unix.WaitStatus
			for {
				if _, err := unix.Wait4(tid, &w, unix.WALL, nil); err != nil && err != unix.EINTR || err == nil && (w.Exited() || w.Signaled()) {
					break
				}
			}
		}
		runtime.UnlockOSThread()
	}
}
