package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/loadtest"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "seed of the random tests; 0 = a new one")
	killsFlag    = flag.Int("serve-kills", 10, "daemons that TestServeKilled kills")
	upgradesFlag = flag.Int("serve-upgrades", 4, "daemons that TestServeUpgraded replaces")
)

// TestServe: swap is there, is used, and goes away; another daemon is refused meanwhile.
func TestServe(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper")
	log := loadtest.WatchKernelLog(t, s.device)
	l := loadtest.Start(t, newState(t), binary, workloadName)
	time.Sleep(time.Second)
	code, says := tryServe(t, serviceArgs(t, state)[1:]...)
	if code != exitMachine {
		t.Errorf("a second daemon: exit code %d", code)
	}
	mustContain(t, says, "another daemon serves already", fmt.Sprintf("process %d", s.serving()), s.device)
	noErr(t, l.Finish())
	if lines := log.Complaints(); len(lines) > 0 {
		t.Errorf("the kernel says %q", lines)
	}
	s.stop()
	mustContain(t, s.log.String(), "serving 256 MiB of swap on "+s.device, `door = "fuse" is for programs under cgroup limits`, "swap is off after", "nothing is left")
	t.Logf("%d rounds, %d pages compared, slowest touch %v", l.Rounds, l.Verified, l.Slowest)
}

// TestServeKilled kills the daemon again and again while a verified workload swaps. No page is wrong, no I/O fails.
func TestServeKilled(t *testing.T) {
	t.Run("alone", func(t *testing.T) { serveKilled(t, *killsFlag, false) })
	t.Run("standby", func(t *testing.T) { serveKilled(t, max(*killsFlag/2, 10), true, "--standby") })
}

// serveKilled is TestServeKilled with a service that was started with some arguments more.
func serveKilled(t *testing.T, kills int, standby bool, args ...string) {
	state := newState(t)
	s, r := startService(t, binary, state, append(args, "--keeper")...), newRand(t)
	log, l := loadtest.WatchKernelLog(t, s.device), loadtest.Start(t, newState(t), binary, workloadName)
	var outages []time.Duration
	for range kills {
		time.Sleep(50*time.Millisecond + time.Duration(r.Int64N(int64(100*time.Millisecond))))
		if standby && r.IntN(2) == 0 {
			s.wait("to have a standby", func() bool { return len(s.processes()) == 3 })
			time.Sleep(time.Duration(r.Int64N(int64(500 * time.Millisecond)))) // ready, or not quite
		}
		l.GoesOn(t)
		was := s.serving()
		at := time.Now()
		noErr(t, kill(was, syscall.SIGKILL))
		if r.IntN(4) == 0 { // and while the next one is on its way
			time.Sleep(time.Duration(r.Int64N(int64(150 * time.Millisecond))))
			for _, pid := range s.processes() {
				if pid != s.cmd.Process.Pid {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		s.replaced(was)
		outages = append(outages, time.Since(at))
	}
	if standby && !s.says("which was ready, goes on") { // none was ready so soon: the machine is busy
		s.standbyGoesOn()
	}
	noErr(t, l.Finish())
	if lines := log.Complaints(); len(lines) > 0 {
		t.Errorf("the kernel says %q", lines)
	}
	s.stop()
	mustContain(t, s.log.String(), "serving "+s.device+" again", "was ended by signal 9 (killed): ")
	if ready := strings.Count(s.log.String(), "which was ready, goes on"); standby && ready == 0 {
		t.Error("no standby went on")
	} else if standby {
		t.Logf("%d standbys went on", ready)
	}
	slices.Sort(outages)
	t.Logf("%d kills; until the next one had settled: median %v, longest %v", kills, outages[len(outages)/2], outages[len(outages)-1])
	t.Logf("%d rounds, %d pages compared, slowest touch %v, %d stray kills", l.Rounds, l.Verified, l.Slowest, l.StrayKills)
}

// TestServeUpgraded hands over to another build, again and again, under load: to one that was put in the place of the program,
// and to one of another name.
func TestServeUpgraded(t *testing.T) {
	needRoot(t)
	state, program := newState(t), filepath.Join(t.TempDir(), "zswapd")
	builds := []string{build(t, "1.0-a"), build(t, "1.0-b")}
	install(t, builds[0], program)
	s := startService(t, program, state, "--keeper")
	log, l := loadtest.WatchKernelLog(t, s.device), loadtest.Start(t, newState(t), binary, workloadName)
	for i := range *upgradesFlag {
		l.GoesOn(t)
		next, args := builds[(i+1)%2], []string{"upgrade", "--socket", socketOf(state)}
		wantExe := next
		if i%4 < 2 {
			install(t, next, program)
			wantExe = program
		}
		o := call(t, append(args, "--binary", wantExe)...)
		now := s.serving()
		mustContain(t, o.out, fmt.Sprintf("process %d, %s, serves in the place of", now, strings.TrimPrefix(filepath.Base(next), "zswapd-")))
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", now)); o.code != 0 || exe != wantExe {
			t.Errorf("exit code %d, process %d runs %s, want %s", o.code, now, exe, wantExe)
		}
	}
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL)) // the next one is of the program that was told last
	now := s.replaced(was)
	a, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", now))
	if i := *upgradesFlag - 1; a != program && i%4 < 2 || a == program && i%4 >= 2 {
		t.Errorf("after a kill %s runs", a)
	}
	if o := call(t, "restart", "--socket", socketOf(state)); o.code != 0 {
		t.Errorf("restart: exit code %d", o.code)
	}
	noErr(t, l.Finish())
	if lines := log.Complaints(); len(lines) > 0 {
		t.Errorf("the kernel says %q", lines)
	}
	s.stop()
	if n := strings.Count(s.log.String(), "handing over to the next daemon"); n != *upgradesFlag+1 {
		t.Errorf("%d hand-overs, want %d", n, *upgradesFlag+1)
	}
	t.Logf("%d rounds, %d pages compared, slowest touch %v", l.Rounds, l.Verified, l.Slowest)
}

// TestServeBadUpgrade: programs that cannot read the store leave the one that can where it is.
func TestServeBadUpgrade(t *testing.T) {
	needRoot(t)
	state, program := newState(t), filepath.Join(t.TempDir(), "zswapd")
	install(t, binary, program)
	s := startService(t, program, state, "--keeper")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	was := s.serving()
	for _, c := range []struct{ program, says string }{
		{futureBuild(t), "this program reads version 9999"},
		{script(t, "#!/bin/sh\necho I can do anything\n"), "I can do anything"},
		{script(t, "no program"), "exec format error"},
	} {
		o := call(t, "upgrade", "--socket", socketOf(state), "--binary", c.program)
		if o.code != exitRefused {
			t.Errorf("exit code %d", o.code)
		}
		mustContain(t, o.errors, c.says, "cannot take over, so this one goes on")
		if now := s.serving(); now != was || !alive(was) {
			t.Fatalf("process %d serves in the place of %d", now, was)
		}
		l.GoesOn(t)
	}
	noErr(t, kill(was, syscall.SIGUSR2)) // as systemctl restart does
	s.replaced(was)
	noErr(t, l.Finish())
	s.stop()
}

var versionText = regexp.MustCompile(`(storeVersion\s*= )\d+`)

// futureBuild returns a program of a later version of the store.
func futureBuild(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../../zpool/superblock.go")
	noErr(t, err)
	text, err := os.ReadFile(source)
	noErr(t, err)
	changed := versionText.ReplaceAllString(string(text), "${1}9999")
	if changed == string(text) {
		t.Fatal("there is no version in the superblock's source")
	}
	dir := t.TempDir()
	noErr(t, os.WriteFile(filepath.Join(dir, "superblock.go"), []byte(changed), 0o600))
	overlay := filepath.Join(dir, "overlay.json")
	noErr(t, os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace": {%q: %q}}`, source, filepath.Join(dir, "superblock.go")), 0o600))
	return build(t, "future", "-overlay", overlay)
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	noErr(t, os.WriteFile(path, []byte(text), 0o755))
	return path
}
