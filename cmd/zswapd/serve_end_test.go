package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/loadtest"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/ublk"
	"github.com/zswapd/zswapd/internal/workload"
)

// frozen returns a workload that has pages swapped out and does nothing. Its pages are compared when it is resumed.
func frozen(t *testing.T, s *service) *loadtest.Load {
	t.Helper()
	l := loadtest.Start(t, newState(t), binary, workloadName)
	s.wait("to have pages", func() bool { return s.used() > 16<<20 })
	l.Freeze(t)
	return l
}

// thaw lets a workload that was frozen end, without a wrong page.
func thaw(t *testing.T, l *loadtest.Load) {
	t.Helper()
	l.Resume()
	noErr(t, l.Finish())
}

// used returns the bytes swapped out to the device.
func (s *service) used() uint64 {
	text, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(text)) {
		var name, kind string
		var size, used uint64
		if n, _ := fmt.Sscan(line, &name, &kind, &size, &used); n == 4 && name == s.device {
			return used << 10
		}
	}
	return 0
}

// fakeMemory returns a command line that runs a program with a /proc/meminfo of our own, and how to change what it says.
func fakeMemory(t *testing.T, program string) (command []string, set func(available int)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "meminfo")
	set = func(available int) {
		noErr(t, os.WriteFile(file, fmt.Appendf(nil, "MemTotal: %d kB\nMemAvailable: %d kB\n", 16<<20, available>>10), 0o644))
	}
	return []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /proc/meminfo && exec "$@"`, file, program}, set
}

// TestServeRefusesToStop: what memory has no room for stays swapped out, with the numbers; force does it all the same.
func TestServeRefusesToStop(t *testing.T) {
	needRoot(t)
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("force=%t", force), func(t *testing.T) {
			state := newState(t)
			if force {
				t.Setenv("INVOCATION_ID", "0") // as systemd sets it
			}
			command, set := fakeMemory(t, binary)
			set(16 << 30)
			args := append(append(command[1:], serviceArgs(t, state)...), "--keeper")
			s := startCommand(t, state, command[0], args...)
			l := frozen(t, s)
			set(8 << 20)
			noErr(t, s.cmd.Process.Signal(syscall.SIGTERM))
			s.wait("to refuse", func() bool { return s.says("refused to turn swap off") })
			mustContain(t, s.log.String(), "MiB, but only 8 MiB are available", "It goes on serving; ", "zswapd stop --force")
			if s.says("systemctl kill -s SIGUSR2") != force {
				t.Errorf("with systemd %v, it says:\n%s", force, s.log)
			}
			time.Sleep(100 * time.Millisecond)
			if s.used() == 0 || s.serving() == 0 {
				t.Fatal("it stopped all the same")
			}
			if force {
				noErr(t, s.cmd.Process.Signal(syscall.SIGUSR1))
			} else {
				set(16 << 30)
				noErr(t, s.cmd.Process.Signal(syscall.SIGTERM))
			}
			r := s.record()
			s.hasEnded(0)
			s.nothingLeft(r)
			thaw(t, l)
		})
	}
}

// TestServeRefusesToStopForCgroup: what the limit of a cgroup has no room for stays swapped out, too, or its programs would be killed.
func TestServeRefusesToStopForCgroup(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	s.wait("to have pages", func() bool { l.GoesOn(t); return s.used() > 16<<20 })
	for _, name := range []string{"stop", "drain"} {
		o := call(t, name, "--socket", socketOf(state))
		if o.code != exitRefused || !strings.HasPrefix(o.errors, "zswapd: refused: swapdev: swapoff would bring back ") || !strings.Contains(o.errors, "to programs of the cgroup /") || !strings.Contains(o.errors, "whose limit leaves room for") {
			t.Errorf("%s: exit code %d, %q, %q", name, o.code, o.out, o.errors)
		}
	}
	noErr(t, kill(s.serving(), syscall.SIGTERM))
	s.wait("to refuse", func() bool { return s.says("refused to turn swap off") && s.says("It goes on serving; ") })
	l.GoesOn(t)
	if s.used() == 0 {
		t.Fatal("it stopped all the same")
	}
	l.Freeze(t) // it may have as much as it likes
	r := s.record()
	mustContain(t, call(t, "stop", "--socket", socketOf(state)).out, "stopped: swap is off")
	s.hasEnded(0)
	s.nothingLeft(r)
	thaw(t, l)
	if l.StrayKills > 0 {
		t.Logf("the kernel killed the workload %d times", l.StrayKills)
	}
}

// TestServeSwappedOffByOthers: whoever turns swap off in our place, as systemd does at shutdown, ends the daemon and its keeper, in
// the same order as a stop.
func TestServeSwappedOffByOthers(t *testing.T) {
	t.Run("daemon", func(t *testing.T) { swappedOffByOthers(t) })
	t.Run("standby", func(t *testing.T) { swappedOffByOthers(t, "--standby") })
}

func swappedOffByOthers(t *testing.T, args ...string) {
	s := startService(t, binary, newState(t), append(args, "--keeper")...)
	s.wait("to be complete", func() bool { return len(s.processes()) == 2+len(args) })
	l, r := frozen(t, s), s.record()
	if out, err := exec.Command("swapoff", s.device).CombinedOutput(); err != nil {
		t.Fatalf("swapoff: %v, %s", err, out)
	}
	s.hasEnded(0)
	s.nothingLeft(r)
	thaw(t, l)
	mustContain(t, s.log.String(), "swap on "+s.device+" was turned off by somebody else", "nothing is left")
	if n := strings.Count(s.log.String(), "\n"); s.says("bring back") || s.says("starting the next one") {
		t.Errorf("%d lines:\n%s", n, s.log)
	}
}

// TestServeSwappedOffAfterKill: swap that was turned off while nobody served is not turned on again by a successor.
func TestServeSwappedOffAfterKill(t *testing.T) {
	s := startService(t, binary, newState(t), "--keeper")
	r, was := s.record(), s.serving()
	noErr(t, kill(was, syscall.SIGSTOP)) // so that it does not notice
	if out, err := exec.Command("timeout", "20", "swapoff", s.device).CombinedOutput(); err != nil {
		t.Fatalf("swapoff: %v, %s", err, out) // nothing is swapped out to it
	}
	noErr(t, kill(was, syscall.SIGKILL))
	s.hasEnded(0)
	s.nothingLeft(r)
	mustContain(t, s.log.String(), "the daemon before ended while swap was off")
}

// TestServeSwapTurnedOnAgain: somebody turns swap off and on, as for another priority. The daemon sees it in time and serves on,
// or it was faster, and there is no device to turn on any more. Never is there one on that nobody serves.
func TestServeSwapTurnedOnAgain(t *testing.T) {
	s, random := startService(t, binary, newState(t), "--keeper"), newRand(t)
	r, rounds := s.record(), 0
	device := swapdev.Block(s.device)
	again := func(delay time.Duration) bool {
		noErr(t, device.SwapOff(t.Context(), swapdev.OffOptions{Force: true}))
		time.Sleep(delay)
		return device.SwapOn(swapdev.MaxPriority, true) == nil
	}
	for rounds < 30 && again(time.Duration(random.Int64N(2)*random.Int64N(int64(time.Millisecond)))) {
		rounds++
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
	}
	t.Logf("turned on again %d times", rounds)
	if rounds == 30 {
		l := loadtest.Start(t, newState(t), binary, workloadName)
		noErr(t, l.Finish())
		s.stop()
		return
	}
	s.hasEnded(0)
	s.nothingLeft(r)
}

// TestServeDrained: a daemon whose swap was drained is left alone by whoever watches swap; a restart turns swap on again; and one
// that is killed stays away.
func TestServeDrained(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	s.wait("to answer", func() bool { _, err := os.Stat(socketOf(state)); return err == nil })
	mustBeFine(t, call(t, "drain", "--socket", socketOf(state)))
	time.Sleep(200 * time.Millisecond)
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, "swap is off", "drained")
	was := s.serving()
	o := call(t, "restart", "--socket", socketOf(state))
	mustBeFine(t, o)
	if now := s.daemon(); now == was || now == 0 || s.record().Loop == "" {
		t.Fatalf("process %d serves, before %d; %s", now, was, o.out)
	}
	l := loadtest.Start(t, newState(t), binary, workloadName)
	noErr(t, l.Finish())
	r := s.record()
	mustBeFine(t, call(t, "drain", "--socket", socketOf(state)))
	noErr(t, kill(s.serving(), syscall.SIGKILL))
	s.hasEnded(0)
	s.nothingLeft(r)
}

// TestStopWithoutAnswer: that nobody answers is no end while swap is on, as after a kill.
func TestStopWithoutAnswer(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state)
	c := control.NewClient(filepath.Join(state, "none"))
	defer c.Close()
	for _, gone := range []bool{true, false} {
		err := awaitEnd(t.Context(), c, s.device, gone)
		if err == nil || !strings.Contains(err.Error(), "swap on "+s.device+" is on: no zswapd is running") || controlCode(err) != exitNoDaemon {
			t.Errorf("with swap on: %v", err)
		}
	}
	s.stop()
	noErr(t, awaitEnd(t.Context(), c, s.device, true))
	if err := awaitEnd(t.Context(), c, s.device, false); err == nil || !strings.Contains(err.Error(), "is off") {
		t.Errorf("with swap off, but not drained: %v", err)
	}
}

// TestServeStopWhileDraining: who is told to stop while swap is being turned off, ends when it is.
func TestServeStopWhileDraining(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	l, r := frozen(t, s), s.record()
	mustBeFine(t, call(t, "drain", "--no-wait", "--socket", socketOf(state)))
	noErr(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.hasEnded(0)
	s.nothingLeft(r)
	thaw(t, l)
}

// TestServeKilledWhileStopping: whoever comes after it goes on with the stop.
func TestServeKilledWhileStopping(t *testing.T) {
	state := newState(t)
	s, random := startService(t, binary, state, "--keeper"), newRand(t)
	l := frozen(t, s)
	r := s.record()
	was := s.serving()
	noErr(t, kill(was, syscall.SIGTERM))
	s.wait("to begin", func() bool { return s.says("turning swap off") })
	time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
	_ = kill(was, syscall.SIGKILL)
	s.hasEnded(0)
	s.nothingLeft(r)
	thaw(t, l)
}

// TestServeWithoutKeeper: a keeper that is killed leaves a daemon that goes on, says so, and ends when it is told to; one that was its
// standby, too.
func TestServeWithoutKeeper(t *testing.T) {
	t.Run("first", func(t *testing.T) { serveWithoutKeeper(t, false) })
	t.Run("standby", func(t *testing.T) { serveWithoutKeeper(t, true, "--standby") })
}

func serveWithoutKeeper(t *testing.T, standby bool, args ...string) {
	state := newState(t)
	s := startService(t, binary, state, append(args, "--keeper")...)
	if standby {
		s.standbyGoesOn()
	}
	l := loadtest.Start(t, newState(t), binary, workloadName)
	r, was := s.record(), s.serving()
	noErr(t, s.cmd.Process.Kill())
	s.wait("to notice", func() bool { return s.says("nobody replaces it") })
	l.GoesOn(t)
	code, says := tryServe(t, append(serviceArgs(t, state)[1:], "--keeper")...)
	if code != exitMachine {
		t.Errorf("a second keeper: exit code %d", code)
	}
	mustContain(t, says, "another daemon serves already", fmt.Sprintf("process %d", was))
	noErr(t, kill(was, syscall.SIGUSR2)) // there is nobody to hand over to
	s.wait("to refuse", func() bool { return s.says("tell the service manager") })
	noErr(t, l.Finish())
	noErr(t, kill(was, syscall.SIGTERM))
	s.wait("to end", func() bool { return !alive(was) })
	gone(t, r)
	// The sockets of the keeper are what is left, and the next one removes them.
	next := startService(t, binary, state, "--keeper")
	next.stop()
}

// TestServeStraySignal: a signal to all processes of the service, as systemctl kill sends it, does not make the standby serve beside
// the daemon; it still does when that is dead.
func TestServeStraySignal(t *testing.T) {
	s := startService(t, binary, newState(t), "--standby", "--keeper")
	l, was := loadtest.Start(t, newState(t), binary, workloadName), s.serving()
	s.standbyIsReady()
	for _, pid := range append(s.processes(), s.cmd.Process.Pid) {
		noErr(t, syscall.Kill(pid, syscall.SIGQUIT)) // Ctrl-\ in a terminal
	}
	for _, pid := range s.processes() {
		if pid != was && pid != s.cmd.Process.Pid {
			noErr(t, syscall.Kill(pid, syscall.SIGUSR2))
		}
	}
	s.wait("to say that it does not", func() bool { return s.says(fmt.Sprintf("but process %d serves", was)) })
	if now := s.serving(); now != was {
		t.Fatalf("process %d serves in the place of %d", now, was)
	}
	l.GoesOn(t)
	noErr(t, kill(was, syscall.SIGKILL))
	s.replaced(was)
	noErr(t, l.Finish())
	s.stop()
	mustContain(t, s.log.String(), "which was ready, goes on")
}

// TestServeAndKeeperKilled: what was swapped out is lost, which who had it is told; nothing hangs, and the next start cleans up.
func TestServeAndKeeperKilled(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testServeAndKeeperKilled(t) })
	t.Run("standby", func(t *testing.T) { testServeAndKeeperKilled(t, "--standby") }) // which must not keep what nobody serves
}

func testServeAndKeeperKilled(t *testing.T, args ...string) {
	state := newState(t)
	s := startService(t, binary, state, append(args, "--keeper")...)
	s.wait("to be complete", func() bool { return len(s.processes()) == 2+len(args) })
	l := loadtest.Start(t, newState(t), binary, workloadName)
	s.wait("to have pages", func() bool { return s.used() > 16<<20 })
	r := s.record()
	noErr(t, s.cmd.Process.Kill())
	noErr(t, kill(s.serving(), syscall.SIGKILL))
	err := l.Wait(time.Minute)
	if wrong := (*workload.Failure)(nil); err == nil || errors.As(err, &wrong) || strings.Contains(err.Error(), "the workload goes on") {
		t.Errorf("a workload whose pages are lost: %v", err)
	}
	t.Logf("the workload: %v", err)
	next := startService(t, binary, state, "--keeper")
	mustContain(t, next.log.String(), "after one that was killed", "swapoff "+r.Loop)
	after := loadtest.Start(t, newState(t), binary, workloadName)
	noErr(t, after.Finish())
	next.stop()
}

// TestServeWatchdog: a daemon that hangs is replaced.
func TestServeWatchdog(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper", "--watchdog", "5s")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	time.Sleep(7 * time.Second) // busy, it is left alone
	was := s.serving()
	if s.says("has not come along") {
		t.Error("it was taken to hang while it served")
	}
	noErr(t, kill(was, syscall.SIGSTOP))
	s.replaced(was)
	mustContain(t, s.log.String(), fmt.Sprintf("process %d has not come along for 5s", was))
	noErr(t, l.Finish())
	s.stop()
}

// TestServeWithoutFolder: somebody removes all that it has in /run. It is replaced all the same when it dies, and stops in the orderly way.
func TestServeWithoutFolder(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper", "--watchdog", "5s")
	log, l := loadtest.WatchKernelLog(t, s.device), loadtest.Start(t, newState(t), binary, workloadName)
	r, was := s.record(), s.serving()
	_ = os.RemoveAll(state) // as far as it can be: the mount may be seen from here
	for restarts := range 2 {
		time.Sleep(6 * time.Second) // the watchdog hears it all the same
		l.GoesOn(t)
		if s.says("has not come along") || !alive(was) {
			t.Fatal("it was taken to hang")
		}
		noErr(t, kill(was, syscall.SIGKILL))
		s.wait("to be replaced", func() bool { return strings.Count(s.log.String(), "serving "+s.device+" again") > restarts })
		was = slices.DeleteFunc(s.processes(), func(pid int) bool { return pid == s.cmd.Process.Pid })[0]
	}
	s.wait("to be one that can be asked again", func() bool {
		return exec.Command(binary, "status", "--socket", socketOf(state)).Run() == nil
	})
	noErr(t, l.Finish())
	if lines := log.Complaints(); len(lines) > 0 {
		t.Errorf("the kernel says %q", lines)
	}
	noErr(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.hasEnded(0)
	gone(t, r)
	if left, _ := os.ReadDir(state); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestServeRefusals: what cannot work is told in one line.
func TestServeRefusals(t *testing.T) {
	needRoot(t)
	state, open := newState(t), newState(t)
	noErr(t, os.Chmod(open, 0o777))
	t.Cleanup(func() { noErr(t, os.Chmod(open, 0o700)) })
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--state", open, "--set", "door=fuse"}, exitMachine, "state folder " + open + " (owner 0, mode 777): want it owned by 0"},
		{[]string{"--config", "/no/such/file"}, exitUsage, "/no/such/file: file does not exist"},
		{[]string{"--set", "swap.size=12parsecs"}, exitUsage, "swap.size = "},
		{[]string{"--keeper", "--set", "door=window"}, exitUsage, "door = "},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"--keeper", "--set", "door=fuse", "--watchdog=-3s"}, exitUsage, "--watchdog -3s: want 1s at least"},
	} {
		code, says := tryServe(t, append([]string{"--state", state}, c.args...)...)
		if code != c.code || !strings.Contains(says, c.says) || strings.Count(says, "\n") != 1 {
			t.Errorf("%q: exit code %d, says %q", c.args, code, says)
		}
	}
	if ublk.Available() != nil {
		code, says := tryServe(t, "--state", state, "--config", emptyConfig(t))
		if code != exitMachine || strings.Count(says, "\n") > 2 { // a protection that cannot be had is none of it
			t.Errorf("no door: exit code %d, says %q", code, says)
		}
		mustContain(t, says, `door = "auto"`, "modprobe ublk_drv", `set door = "fuse", which is for programs under cgroup limits`)
	}
	c := exec.Command(binary, "serve")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err == nil || string(out) != "zswapd: only root may serve swap: run it with sudo, or as a unit of systemd\n" {
		t.Errorf("without root: %v, %q", err, out)
	}
	for _, dir := range []string{state, open} {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left in the state folder: %v", left)
		}
	}
}
