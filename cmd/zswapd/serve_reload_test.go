package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeReload: what can change does, what cannot is told, and a broken configuration changes nothing, now or at a restart.
func TestServeReload(t *testing.T) {
	needRoot(t)
	state, file := newState(t), emptyConfig(t)
	s := startCommand(t, state, binary, append(serviceArgs(t, state), "--keeper", "--config", file)...)
	reload := func(text, says string) {
		t.Helper()
		noErr(t, os.WriteFile(file, []byte(text), 0o600))
		noErr(t, kill(s.serving(), syscall.SIGHUP))
		s.wait("to say "+says, func() bool { return s.says(says) })
	}
	reload("pool.accept_threshold_percent = 80\n", "pool.accept_threshold_percent: 80, was 90")
	reload("pool.accept_threshold_percent = 80\nserve.threads = 3\n", "serve.threads: 3, is 0 until a restart")
	reload("pool.accept_threshold_percent = 80\nserve.threads = 3\nwriteback.file = \"/no/such\"\n", `writeback.file: "/no/such", stays "": zpool: backing file: open /no/such`)
	folder := filepath.Join(diskDir(t), "later", "file")
	reload("serve.threads = 3\nwriteback.file = \""+folder+"\"\n", `writeback.file: "`+folder+`", stays "": zpool: backing file: open `)
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, "note         serve.threads is 0, and 3 in the configuration: that takes a restart\n",
		`note         writeback.file is "", and "`+folder+`" in the configuration, which could not be had: zswapd reload tries again`)
	o := call(t, "status", "--settings", "--socket", socketOf(state))
	mustContain(t, o.out, `writeback.file                 ""                           live           as before; `+file+`:2 says "`+folder+`"`)
	mustContain(t, call(t, "set", "log.level=debug", "--socket", socketOf(state)).out, `log.level is "debug", was "info"`) // whatever is pending
	mustBeFine(t, call(t, "restart", "--socket", socketOf(state)))                                                         // which does not make it so
	o = call(t, "reload", "--socket", socketOf(state))
	if o.code != exitMachine || !strings.Contains(o.errors, `writeback.file stays "", not "`+folder+`": zpool: backing file: open `) {
		t.Errorf("exit code %d, %q, %q", o.code, o.out, o.errors)
	}
	noErr(t, os.Mkdir(filepath.Dir(folder), 0o700))
	mustContain(t, call(t, "reload", "--socket", socketOf(state)).out, `writeback.file is "`+folder+`", was ""`)
	mustContain(t, call(t, "reload", "--socket", socketOf(state)).out, "nothing has changed")
	if b := s.stats().Backing; b == nil || b.Path != folder {
		t.Errorf("the backing file: %+v", b)
	}
	reload("pool.accept_threshold_percent = 800\nnonsense = 1\n", "the old one stays in force")
	mustContain(t, s.log.String(), file+":1: pool.accept_threshold_percent = 800", file+":2: nonsense")
	broken := "the configuration is broken, so an older one is in force: " + file + ":1: pool.accept_threshold_percent = 800: want a share of 1 to 100 percent, such as 40 or \"40%\" (and 1 more)"
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, broken)
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL))
	now := s.replaced(was)
	s.wait("to complain again", func() bool { return strings.Count(s.log.String(), "the old one stays in force") == 2 })
	o = call(t, "status", "--settings", "--socket", socketOf(state))
	mustContain(t, o.out, "writeback.file", "saved by the daemon before") // not of the file, which says something else
	if strings.Contains(o.out, "set at run time") || strings.Contains(o.out, file) {
		t.Errorf("where they came from:\n%s", o.out)
	}
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, broken)
	reload("serve.threads = 3\n", `writeback.file: "", was "`+folder+`"`)
	if o = call(t, "status", "--socket", socketOf(state)); strings.Contains(o.out, "broken") || strings.Contains(o.out, "in the configuration") {
		t.Errorf("all is well again:\n%s", o.out)
	}
	if n := threadsNamed(t, now); n < 3 {
		t.Errorf("the next one has %d threads", n)
	}
	s.stop()
}

// TestServeReloadBesideStandby: a standby that goes on goes by the settings of that moment, not of the one when it was made, and says
// of which that cannot be.
func TestServeReloadBesideStandby(t *testing.T) {
	needRoot(t)
	state, file := newState(t), emptyConfig(t)
	s := startCommand(t, state, binary, "serve", "--state", state, "--config", file, "--set", "control.socket="+socketOf(state), "--set", "door=fuse",
		"--set", "swap.size=256MiB", "--standby", "--keeper")
	s.standbyIsReady()
	noErr(t, os.WriteFile(file, []byte("pool.max_pool_size = \"77MiB\"\nserve.threads = 3\n"), 0o600))
	mustContain(t, call(t, "reload", "--socket", socketOf(state)).out, `pool.max_pool_size is "77MiB", was ""`, "serve.threads stays 0: 3 takes a restart")
	s.standbyGoesOn()
	s.wait("to go by the new limit", func() bool { return s.stats().LimitBytes == 77<<20 })
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, "serve.threads is 0, and 3 in the configuration: that takes a restart")
	s.stop()
}

// standbyIsReady waits until a standby has what it takes: it, and the keeper, whom it tells, have had nothing to do for half a second. On
// a busy machine it takes longer than that to come so far.
func (s *service) standbyIsReady() {
	s.t.Helper()
	was, looks, since := s.serving(), 0, time.Now()
	s.wait("to have a standby", func() bool {
		all := s.processes()
		if len(all) != 3 || slices.ContainsFunc(all, func(pid int) bool { return pid != was && !asleep(pid) }) {
			looks, since = 0, time.Now()
		}
		looks++
		return looks > 50 && time.Since(since) > 500*time.Millisecond
	})
}

// asleep reports whether all threads of a process wait for something that is to happen.
func asleep(pid int) bool {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return len(paths) > 0 && !slices.ContainsFunc(paths, func(path string) bool {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		return !strings.HasPrefix(rest, "S")
	})
}

// standbyGoesOn kills the daemon when its standby is ready.
func (s *service) standbyGoesOn() {
	s.t.Helper()
	s.standbyIsReady()
	was := s.serving()
	noErr(s.t, kill(was, syscall.SIGKILL))
	s.replaced(was)
	s.wait("to go on with it", func() bool { return s.says("which was ready, goes on") })
}

// threadsNamed returns how many threads a process has.
func threadsNamed(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	noErr(t, err)
	return len(list)
}
