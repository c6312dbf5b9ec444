package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// service is zswapd serve, with a keeper or alone, and a state folder of its own.
type service struct {
	t      *testing.T
	state  string
	device string
	cmd    *exec.Cmd // the keeper, or the daemon
	ended  chan struct{}
	log    *journal
}

// journal collects what a service says.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

const (
	startLimit = time.Minute
)

// startService starts one and waits until it serves. When the test ends it is stopped, whatever happened.
func startService(t *testing.T, program, state string, args ...string) *service {
	t.Helper()
	needRoot(t)
	return startCommand(t, state, program, append(serviceArgs(t, state), args...)...)
}

// serviceArgs are the arguments of a service for tests.
func serviceArgs(t *testing.T, state string) []string {
	return []string{"serve", "--state", state, "--config", emptyConfig(t), "--set", "control.socket=" + socketOf(state), "--set", "door=fuse",
		"--set", "swap.size=256MiB", "--set", "pool.max_pool_size=256MiB", "--set", "swap.priority=32767"}
}

func socketOf(state string) string { return filepath.Join(state, "control.sock") }

// emptyConfig returns a configuration that says nothing.
func emptyConfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zswapd.toml")
	noErr(t, os.WriteFile(path, nil, 0o600))
	return path
}

func startCommand(t *testing.T, state, program string, args ...string) *service {
	t.Helper()
	s := &service{t: t, state: state, ended: make(chan struct{}), log: new(journal)}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.WaitDelay = time.Second // a daemon may outlive its keeper, and has the pipe
	noErr(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(s.takeDown)
	s.wait("to serve", func() bool { return s.daemon() != 0 })
	s.device = s.record().Loop
	return s
}

// wait waits until something holds.
func (s *service) wait(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(startLimit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("it is %s within %v; it says:\n%s", what, startLimit, s.log)
		}
	}
}

func (s *service) says(text string) bool { return strings.Contains(s.log.String(), text) }

var servesText = regexp.MustCompile(`^process (\d+) serves swap on (\S+)`)

// daemon returns the process that serves, 0 if none does.
func (s *service) daemon() int {
	text, _ := os.ReadFile(filepath.Join(s.state, "serve.lock"))
	m := servesText.FindStringSubmatch(string(text))
	if m == nil {
		return 0
	}
	pid, _ := strconv.Atoi(m[1])
	if !alive(pid) { // it was killed, and nobody has taken over yet
		return 0
	}
	return pid
}

// serving waits until one serves, and returns it: one that has just taken over may have been killed already.
func (s *service) serving() (pid int) {
	s.t.Helper()
	s.wait("to serve", func() bool { pid = s.daemon(); return pid != 0 })
	return pid
}

// kill sends a signal to one process: none is not all of ours.
func kill(pid int, signal syscall.Signal) error {
	if pid <= 0 {
		return errors.New("there is nobody to send a signal to")
	}
	return syscall.Kill(pid, signal)
}

// replaced waits until another process serves than the one that did, and returns it.
func (s *service) replaced(was int) (pid int) {
	s.t.Helper()
	s.wait("to be replaced", func() bool {
		pid = s.daemon()
		return pid != 0 && pid != was
	})
	return pid
}

// alive reports whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func (s *service) record() swapdev.Record {
	for _, r := range records(s.t, s.state) {
		if r.Loop != "" {
			return r
		}
	}
	return swapdev.Record{}
}

// stop ends it in the orderly way and checks that nothing is left.
func (s *service) stop() {
	s.t.Helper()
	r := s.record()
	noErr(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.hasEnded(0)
	s.nothingLeft(r)
}

// hasEnded waits for the end of the process that was started.
func (s *service) hasEnded(code int) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(2 * endLimit):
		s.t.Fatalf("it does not end; it says:\n%s", s.log)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d; it says:\n%s", got, code, s.log)
	}
}

func (s *service) nothingLeft(r swapdev.Record) {
	s.t.Helper()
	gone(s.t, r)
	left, err := os.ReadDir(s.state)
	if err != nil || len(left) > 0 {
		s.t.Errorf("left in the state folder: %v, %v", left, err)
	}
	if pids := s.processes(); len(pids) > 0 {
		s.t.Errorf("processes %v are left", pids)
	}
}

// processes returns those that have the state folder in their arguments.
func (s *service) processes() (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		if text, _ := os.ReadFile(path); bytes.Contains(text, []byte("\x00"+s.state+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// takeDown ends what is left, the orderly way first.
func (s *service) takeDown() {
	if s.t.Failed() {
		s.t.Logf("the service says:\n%s", s.log)
	}
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGKILL} {
		for deadline := time.Now().Add(endLimit / 3); len(s.processes()) > 0 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			for _, pid := range s.processes() {
				if how == syscall.SIGKILL {
					s.t.Errorf("process %d had to be killed", pid)
				}
				_ = syscall.Kill(pid, how)
			}
		}
	}
	if report, err := swapdev.Clean(context.Background(), s.state, swapdev.CleanOptions{}); err != nil {
		s.t.Errorf("%v, %v", report, err)
	}
}

// build builds the program into a file of its own, with a version that it tells.
func build(t *testing.T, version string, flags ...string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(binary), "zswapd-"+version)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	args := append([]string{"build", "-o", path, "-ldflags", "-X main.version=" + version}, append(flags, ".")...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// install puts a program where a service is started from, as packages do: a new file takes the name.
func install(t *testing.T, program, path string) {
	t.Helper()
	text, err := os.ReadFile(program)
	noErr(t, err)
	noErr(t, os.WriteFile(path+".new", text, 0o755))
	noErr(t, os.Rename(path+".new", path))
}

func newRand(t *testing.T) *rand.Rand {
	n := *seedFlag
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("go test -run %s -seed=%d", t.Name(), n)
	return rand.New(rand.NewPCG(n, 0))
}

// tryServe calls serve in the hope that it refuses.
func tryServe(t *testing.T, args ...string) (code int, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	c := exec.CommandContext(ctx, binary, append([]string{"serve"}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = startLimit
	out, err := c.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("want %q in:\n%s", p, text)
		}
	}
}
