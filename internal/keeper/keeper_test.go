package keeper

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/sdnotify"
)

// Parts that this binary plays as a child: a keeper, and its daemon, which does what the words of a script say.
const (
	partEnv   = "ZSWAPD_TEST_PART"
	scriptEnv = "ZSWAPD_TEST_SCRIPT"

	managedEnv = "ZSWAPD_TEST_MANAGED"
	noForkEnv  = "ZSWAPD_TEST_NO_FORK"
)

func TestMain(m *testing.M) {
	sdnotify.Main(func() error { return nil })
	switch os.Getenv(partEnv) {
	case "keeper":
		os.Exit(playKeeper())
	case "daemon":
		os.Exit(playDaemon())
	}
	os.Exit(m.Run())
}

func playKeeper() int {
	os.Setenv(partEnv, "daemon")
	o := Options{
		Program: os.Args[1], Args: []string{"@daemon"}, Dir: os.Args[2], Watchdog: time.Minute, // nobody pets it here
		Say: func(text string) { fmt.Println("KEEPER", text) },
	}
	if os.Getenv(noForkEnv) != "" {
		o.Say = forkFails(3, o.Say)
	}
	if script := os.Getenv(scriptEnv); strings.Contains(script, "hang") || strings.Contains(script, "chatter") {
		o.Watchdog = time.Second
	}
	if os.Getenv(managedEnv) != "" { // by whoever is to be systemd
		os.Unsetenv(managedEnv)
		o.Manager, _ = sdnotify.FromEnv()
		o.Handed, _ = sdnotify.Listen()
		o.Watchdog, o.AskEvery = 0, 200*time.Millisecond
		fmt.Println("HANDED", len(o.Handed))
	}
	code, err := Run(o)
	if err != nil {
		fmt.Println("ERROR", err)
	}
	return code
}

// forkFails returns a Say for a keeper that cannot start a process from the first word on, for want of descriptors, until it has said
// so a number of times.
func forkFails(times int, say func(string)) func(string) {
	var before unix.Rlimit
	said := 0
	return func(text string) {
		say(text)
		var err error
		if said++; said == 1 {
			_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &before)
			err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: before.Max})
		} else if said == 1+times {
			err = unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
		}
		if err != nil {
			say(err.Error())
		}
	}
}

// playDaemon is one life. The script has a part for each life, between semicolons; which one it is, a file that is kept says.
func playDaemon() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR2) // before it says a word: who hears that may send one
	m, _ := sdnotify.FromEnv()
	held, err := sdnotify.Listen()
	life := 0
	if fd, ok := held["lives"]; ok {
		b := make([]byte, 16)
		n, _ := unix.Pread(fd, b, 0)
		life = n
		_, _ = unix.Pwrite(fd, bytes.Repeat([]byte("x"), n+1), 0)
	}
	names := []string{}
	for name := range held {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Println("LIFE", life, os.Args[0], names, err, os.Getenv(Env) == fmt.Sprint(os.Getppid()))
	fmt.Println("PROGRAM", os.Getenv(ProgramEnv))
	for _, word := range strings.Fields(strings.Split(os.Getenv(scriptEnv), ";")[life]) {
		switch verb, value, _ := strings.Cut(word, "="); verb {
		case "store":
			f, _ := os.CreateTemp(os.TempDir(), "")
			_, _ = f.WriteString("x")
			_ = os.Remove(f.Name())
			fmt.Println("store", m.Store(value, int(f.Fd())), m.Barrier())
		case "remove":
			fmt.Println("remove", m.Remove(value), m.Barrier())
		case "ready":
			_ = m.Notify(sdnotify.Ready)
		case "binary":
			fmt.Println("binary", m.Notify(sdnotify.Binary(value)), m.Barrier())
		case "stranger": // another process says something in our name
			c := exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), partEnv+"=daemon", scriptEnv+"=store=stolen exit=0")
			out, err := c.CombinedOutput()
			fmt.Printf("stranger %v %q\n", err, out)
		case "wait": // for any, or, as "wait=usr2", for a hand-over
			for s := os.Signal(nil); s == nil || value != "" && s != unix.SIGUSR2; {
				s = <-signals
				fmt.Println("signal", s)
			}
		case "sleep":
			d, _ := time.ParseDuration(value)
			time.Sleep(d)
		case "hang":
			select {}
		case "chatter": // of all but what counts
			for keeper := os.Getppid(); os.Getppid() == keeper; {
				_ = m.Notify(sdnotify.Status("bringing back 1 MiB, 1 MiB left"))
				time.Sleep(50 * time.Millisecond)
			}
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "anew": // once
			if os.Mkdir(value, 0o700) == nil {
				return sdnotify.HandOver
			}
		case "exit":
			var code int
			fmt.Sscan(value, &code)
			return code
		}
	}
	return 0
}

// keep runs a keeper with a script and returns its exit code and what was said.
func keep(t *testing.T, script string, meanwhile func(keeper *os.Process, said func() string)) (code int, out string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command(self, self, dir)
	c.Env = append(os.Environ(), partEnv+"=keeper", scriptEnv+"="+script, sdNotifyOfOthers)
	c.Stdout, c.Stderr = file, file
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		text, _ := os.ReadFile(file.Name())
		return string(text)
	}
	ended := time.AfterFunc(2*time.Minute, func() { _ = c.Process.Kill() })
	if meanwhile != nil {
		meanwhile(c.Process, said)
	}
	_ = c.Wait()
	ended.Stop()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	return c.ProcessState.ExitCode(), said()
}

// sdNotifyOfOthers is what a manager of the keeper's own might have told it.
const sdNotifyOfOthers = "NOTIFY_SOCKET=/no/such/socket"

func check(t *testing.T, code, want int, out string, parts ...string) {
	t.Helper()
	if code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Errorf("want %q", p)
		}
	}
	if t.Failed() {
		t.Logf("said:\n%s", out)
	}
}

// What is in store is handed to the next one, however the one before ended; the one that ends with 0 is the last.
func TestHandsOver(t *testing.T) {
	code, out := keep(t, "store=lives store=b ready kill; ready exit=1; ready exit=75; remove=b kill; exit=0", nil)
	check(t, code, 0, out, "LIFE 0 @daemon [] <nil> true", "store <nil> <nil>", "LIFE 1 @daemon [b lives]", "LIFE 2 @daemon [b lives]",
		"LIFE 3 @daemon [b lives]", "remove <nil> <nil>", "LIFE 4 @daemon [lives]", "was ended by signal 9 (killed): starting the next one", "ended with exit code 1")
	if strings.Contains(out, "exit code 75") {
		t.Error("a hand-over is no accident")
	}
}

// One that could not start is not started again.
func TestCannotStart(t *testing.T) {
	code, out := keep(t, "exit=3", nil)
	check(t, code, 3, out, "LIFE 0")
	code, out = keep(t, "kill", nil)
	check(t, code, 128+9, out, "was ended by signal 9 (killed)")
	// But one that wants to begin anew, with nothing in store.
	code, out = keep(t, "store=lives remove=lives anew="+filepath.Join(t.TempDir(), "file")+" exit=0", nil)
	check(t, code, 0, out)
	if n := strings.Count(out, "LIFE 0"); n != 2 {
		t.Errorf("%d lives, want 2", n)
	}
}

// A daemon that cannot be started now is started later: what is in store is nobody else's.
func TestCannotFork(t *testing.T) {
	t.Setenv(noForkEnv, "1")
	code, out := keep(t, "store=lives ready kill; ready exit=0", nil)
	check(t, code, 0, out, "LIFE 1 @daemon [lives]")
	if n := strings.Count(out, "too many open files: trying again"); n != 3 {
		t.Errorf("%d starts have failed, want 3; said:\n%s", n, out)
	}
}

// Only the daemon is listened to.
func TestStrangers(t *testing.T) {
	code, out := keep(t, "store=lives stranger ready kill; exit=0", nil)
	check(t, code, 0, out, "stranger", "LIFE 1 @daemon [lives]")
}

// A signal is passed on, to one that takes over only when it is ready.
func TestSignals(t *testing.T) {
	term := func(p *os.Process, said func() string) {
		for range 6000 {
			if strings.Contains(said(), "LIFE 1") {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = p.Signal(unix.SIGTERM)
	}
	code, out := keep(t, "store=lives ready kill; sleep=300ms ready wait exit=0", term)
	check(t, code, 0, out, "signal terminated")
}

// One that says nothing is replaced, and one that says everything but that requests come along.
func TestWatchdog(t *testing.T) {
	code, out := keep(t, "store=lives ready hang; exit=0", nil)
	check(t, code, 0, out, "has not come along for 1s", "LIFE 1")
	code, out = keep(t, "store=lives ready chatter; exit=0", nil)
	check(t, code, 0, out, "has not come along for 1s", "LIFE 1")
}

// What tells that a daemon comes along, and what does not.
func TestHeard(t *testing.T) {
	for text, counts := range map[string]bool{
		sdnotify.Pet: true, sdnotify.Ready: true, "STATUS=x\n" + sdnotify.Pet: true,
		"STATUS=" + sdnotify.Pet: false, sdnotify.Stopping: false, sdnotify.Binary("/a"): false, "FDSTOREREMOVE=1\nFDNAME=a": false, "": false,
	} {
		long := time.Now().Add(-time.Hour)
		k := &keeper{child: &child{pid: 1, heard: long, done: true}}
		k.hear(&packet{pid: 1, text: []byte(text)})
		if got := k.child.heard != long; got != counts {
			t.Errorf("%q counts: %t", text, got)
		}
		k.child.heard = long
		if k.hear(&packet{pid: 2, text: []byte(text)}); k.child.heard != long {
			t.Errorf("%q of a stranger counts", text)
		}
	}
}

// Who is not watched is waited for without end, not only for long.
func TestPatience(t *testing.T) {
	const watchdog = time.Minute
	long := time.Now().Add(-24 * time.Hour)
	for _, c := range []struct {
		what     string
		child    *child
		watchdog time.Duration
		want     time.Duration
	}{
		{"ready and silent", &child{ready: true, heard: long}, watchdog, 0},
		{"aborted", &child{ready: true, heard: long, aborted: true}, watchdog, abortTime},
		{"not ready", &child{heard: long}, watchdog, math.MaxInt64},
		{"no watchdog", &child{ready: true, heard: long}, 0, math.MaxInt64},
	} {
		if got := c.child.patience(c.watchdog); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Reset(never) // is no time in the past
	select {
	case <-timer.C:
		t.Error("never has come")
	case <-time.After(50 * time.Millisecond):
	}
}

// Another program is the next one, until it fails: then the one that was.
func TestBinary(t *testing.T) {
	code, out := keep(t, "store=lives binary=/bin/false ready exit=75; exit=0", nil)
	check(t, code, 0, out, "ended with exit code 1: starting the next one", "LIFE 1")
	code, out = keep(t, "store=lives binary=/no/such/file ready exit=75; exit=0", nil)
	check(t, code, 0, out, "/no/such/file", "LIFE 1")
}

func TestBackoff(t *testing.T) {
	var b backoff
	if b.pause() != 0 {
		t.Error("it waits at first")
	}
	last := time.Duration(0)
	for range 20 {
		b.failed()
		if b.pause() < last || b.pause() > longest {
			t.Errorf("%v after %v", b.pause(), last)
		}
		last = b.pause()
	}
	if last != longest {
		t.Error(last)
	}
	if b.reset(); b.pause() != 0 {
		t.Error("it waits after one that was ready")
	}
}

// Sockets of keepers that were killed are removed, those of others left.
func TestStaleSockets(t *testing.T) {
	dir := t.TempDir()
	dead, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "keeper-1.sock")
	if err := unix.Bind(dead, &unix.SockaddrUnix{Name: stale}); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(dead)
	s, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	removeStale(dir)
	if _, err := os.Lstat(stale); err == nil {
		t.Error("a stale socket was left")
	}
	if info, err := os.Lstat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	_ = os.Remove(s.path)
}

// TestStopUnheard: a daemon that hangs, and is killed for it, may not have heard that it is to stop. The next one does.
func TestStopUnheard(t *testing.T) {
	term := func(p *os.Process, said func() string) {
		for range 6000 {
			if strings.Contains(said(), "LIFE 0") {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		_ = p.Signal(unix.SIGTERM)
	}
	code, out := keep(t, "store=lives ready sleep=500ms kill; ready wait exit=0", term)
	check(t, code, 0, out, "LIFE 1", "signal terminated")
}

// TestSooner: without a watchdog of the keeper's own, or with a long one, the daemon still says often enough for systemd that it comes along.
func TestSooner(t *testing.T) {
	for _, c := range [][3]time.Duration{{0, 0, 0}, {30, 0, 30}, {0, 120, 120}, {30, 120, 30}, {300, 120, 120}} {
		if got := sooner(c[0], c[1]); got != c[2] {
			t.Errorf("%v: %v", c, got)
		}
	}
}
