package keeper

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/sdnotify"
)

// manager is systemd, as far as a keeper sees it: a socket and a store.
type manager struct {
	t     *testing.T
	s     *socket
	store store
	out   said
	dir   string
	text  []string // all messages
}

// said is what the keeper and its daemons print.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *said) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *said) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.text.String(), text)
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, dir: t.TempDir()}
	var err error
	if m.s, err = listen(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.store.removeAll()
		if t.Failed() {
			t.Logf("said:\n%s", m.out.text.String())
		}
	})
	return m
}

// start starts a keeper with all that is in store, as systemd does.
func (m *manager) start(script string) *exec.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	names, fds := m.store.list()
	c := exec.Command("/proc/self/exe", append([]string{sdnotify.Shim, self, self}, self, m.dir)...)
	c.Env = append(os.Environ(), partEnv+"=keeper", scriptEnv+"="+script, managedEnv+"=1")
	c.Env = append(append(c.Env, sdnotify.Environment(m.s.path, 0)...), sdnotify.ListenEnvironment(names)...)
	for _, fd := range fds {
		copied, err := unix.Dup(int(fd))
		if err != nil {
			m.t.Fatal(err)
		}
		f := os.NewFile(uintptr(copied), "")
		defer f.Close()
		c.ExtraFiles = append(c.ExtraFiles, f)
	}
	c.Stdout, c.Stderr = &m.out, &m.out
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// until hears what the keeper says until something holds.
func (m *manager) until(what string, holds func() bool) {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			m.t.Fatalf("not %s; messages %q", what, m.text)
		}
		select {
		case <-m.s.readable:
			m.s.receive(func(p *packet) {
				m.text = append(m.text, string(p.text))
				if msg := sdnotify.ParseMessage(string(p.text)); msg.Store {
					m.store.add(msg.Name, p.take())
				} else if msg.Remove {
					m.store.remove(msg.Name)
				}
			})
			m.s.again <- true
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ends waits for the keeper's end, and returns its exit code.
func (m *manager) ends(c *exec.Cmd) int {
	m.t.Helper()
	done := make(chan bool)
	go func() {
		_ = c.Wait()
		close(done)
	}()
	m.until("the keeper's end", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	return c.ProcessState.ExitCode()
}

// With systemd, all that the daemon says is relayed: descriptors and barriers, too. Another keeper has them from there, be it that
// this one was killed, or was asked to hand over.
func TestManaged(t *testing.T) {
	const script = "store=lives store=b ready kill; ready wait exit=75; ready remove=b hang; ready wait exit=75; exit=0"
	m := newManager(t)
	k := m.start(script)
	m.until("taken over by the next daemon", func() bool { return m.out.has("LIFE 1 @daemon [b lives] <nil> true") })
	m.until("ready", func() bool { return slices.Contains(m.text, sdnotify.Ready) })
	names, _ := m.store.list()
	if !slices.Equal(names, []string{"lives", "b"}) {
		t.Errorf("in store: %v", names)
	}
	if !m.out.has("store <nil> <nil>") {
		t.Error("no barrier")
	}
	_ = k.Process.Signal(unix.SIGUSR2)
	if code := m.ends(k); code != sdnotify.HandOver {
		t.Errorf("asked to hand over, the keeper ends with %d", code)
	}

	k = m.start(script)
	m.until("handed over to another keeper", func() bool { return m.out.has("HANDED 2") && m.out.has("LIFE 2 @daemon [b lives]") })
	m.until("one less in store", func() bool { names, _ := m.store.list(); return slices.Equal(names, []string{"lives"}) })
	daemon := m.child(k)
	_ = k.Process.Kill()
	m.ends(k)
	_ = unix.Kill(daemon, unix.SIGKILL) // with systemd, the rest of the unit goes, too

	k = m.start(script)
	m.until("taken over from a dead keeper", func() bool { return m.out.has("HANDED 1") && m.out.has("LIFE 3 @daemon [lives]") })
	_ = unix.Kill(m.child(k), unix.SIGUSR2) // of its own accord: that is the daemon's affair
	if code := m.ends(k); code != 0 || !m.out.has("LIFE 4 @daemon [lives]") {
		t.Errorf("the keeper ends with %d", code)
	}
}

// TestManagedAsksAgain: what systemd waits for, and the daemon refuses, it is asked again; also the next one, if it dies meanwhile; and
// what was asked last counts.
func TestManagedAsksAgain(t *testing.T) {
	m := newManager(t)
	k := m.start("store=lives ready wait wait kill; ready wait exit=0")
	m.until("ready", func() bool { return slices.Contains(m.text, sdnotify.Ready) })
	_ = k.Process.Signal(unix.SIGTERM)
	if code := m.ends(k); code != 0 || !m.out.has("LIFE 1") {
		t.Errorf("the keeper ends with %d", code)
	}
	m.store.removeAll()

	m = newManager(t)
	k = m.start("store=lives ready wait wait=usr2 exit=75")
	m.until("ready", func() bool { return slices.Contains(m.text, sdnotify.Ready) })
	_ = k.Process.Signal(unix.SIGTERM)
	m.until("refused", func() bool { return m.out.has("signal terminated") })
	_ = k.Process.Signal(unix.SIGUSR2)
	if code := m.ends(k); code != sdnotify.HandOver || !m.out.has("signal user defined signal 2") || m.out.has("LIFE 1") {
		t.Errorf("asked to stop, and then to hand over, the keeper ends with %d", code)
	}
}

// TestManagedOtherProgram: what systemd waits for is not done by a hand-over to a program that it would not start.
func TestManagedOtherProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		lives  int
	}{
		{"store=lives ready wait binary=/proc/self/exe exit=75; ready wait exit=75", 2},
		{"store=lives ready wait binary=/proc/self/exe exit=75; ready wait binary=/proc/self/exe exit=75; ready wait binary=" + self + " exit=75", 3},
		{"store=lives ready wait binary=" + self + " exit=75", 1},
	} {
		m := newManager(t)
		k := m.start(c.script + "; exit=0")
		m.until("ready", func() bool { return slices.Contains(m.text, sdnotify.Ready) })
		_ = k.Process.Signal(unix.SIGUSR2)
		code := m.ends(k)
		if n := strings.Count(m.out.text.String(), "LIFE"); code != sdnotify.HandOver || n != c.lives {
			t.Errorf("%q: %d lives, want %d; the keeper ends with %d", c.script, n, c.lives, code)
		}
		if !m.out.has("PROGRAM " + self + "\n") {
			t.Error("the daemon is not told which program systemd starts")
		}
	}
}

// child returns the daemon of a keeper, once it is one.
func (m *manager) child(k *exec.Cmd) (pid int) {
	m.t.Helper()
	m.until("a daemon", func() bool {
		paths, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range paths {
			stat, _ := os.ReadFile(path)
			before, after, _ := strings.Cut(string(stat), ") ")
			if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(k.Process.Pid) && strings.Contains(before, "(") {
				pid, _ = strconv.Atoi(strings.Fields(before)[0])
			}
		}
		return pid != 0
	})
	return pid
}
