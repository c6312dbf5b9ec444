package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/capturetest"
	"github.com/zswapd/zswapd/internal/cgroup"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		target Target
		says   string
	}{
		{Target{}, "one of --pid"},
		{Target{PID: 5, System: true}, "one of --pid"},
		{Target{PID: os.Getpid()}, "zswapd itself"},
		{Target{PID: -3}, "no such process"},
		{Target{PID: 1 << 30}, "no such process"},
		{Target{Cgroup: "/no/such/group"}, "--cgroup"},
		{Target{Cgroup: "../x"}, "--cgroup"},
		{Target{PID: os.Getppid()}, ""},
	} {
		if pids, err := c.target.Processes(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, %v; want %q", c.target, pids, err, c.says)
		}
	}
	if kernel := kernelThread(t); kernel > 0 {
		if _, err := (Target{PID: kernel}).Processes(); err == nil || !strings.Contains(err.Error(), "kernel thread") {
			t.Errorf("a kernel thread: %v", err)
		}
		if got := users([]int{os.Getppid(), kernel, os.Getpid(), 1 << 30}); !slices.Equal(got, []int{os.Getppid()}) {
			t.Errorf("users: %v", got)
		}
	}
}

// kernelThread returns the number of one, which has no memory to be read; 0 if we see none.
func kernelThread(t *testing.T) int {
	t.Helper()
	if text, _ := os.ReadFile("/proc/2/comm"); string(text) == "kthreadd\n" {
		return 2
	}
	return 0
}

// A cgroup's processes are those of the groups below it, too.
func TestCgroup(t *testing.T) {
	capturetest.NeedRoot(t)
	above, below := capturetest.Start(t, "plain:20"), capturetest.Start(t, "plain:20")
	other := capturetest.Start(t, "plain:20")
	g, err := cgroup.Create(fmt.Sprintf("capture-%d", os.Getpid()), 64<<20)
	noErr(t, err)
	t.Cleanup(func() { noErr(t, g.Remove()) })
	sub := filepath.Join(g.Path(), "below")
	noErr(t, os.Mkdir(sub, 0o755))
	noErr(t, os.WriteFile(filepath.Join(sub, "cgroup.procs"), fmt.Append(nil, below.PID()), 0))
	if g.Version() == 1 { // version 2 has no processes above others in a group with a limit
		noErr(t, g.Add(above.PID()))
	}
	want := []int{below.PID()}
	if g.Version() == 1 {
		want = []int{above.PID(), below.PID()}
		slices.Sort(want)
	}
	t.Cleanup(func() { // before the group is removed
		for _, p := range []*capturetest.Process{above, below, other} {
			p.Kill()
			p.Reap()
		}
	})
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", below.PID()))
	noErr(t, err)
	name := filepath.Base(g.Path())
	asShown := ""
	for line := range strings.Lines(string(text)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":/"); ok && strings.Contains(path, name) {
			asShown = "/" + strings.TrimSuffix(path, "/below")
		}
	}
	for _, path := range []string{g.Path(), g.Path() + "/", asShown, strings.TrimPrefix(asShown, "/")} {
		if got, err := (Target{Cgroup: path}).Processes(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", path, got, err, want)
		}
	}
	if got, err := (Target{Cgroup: sub}).Processes(); err != nil || !slices.Equal(got, []int{below.PID()}) {
		t.Errorf("%s: %v, %v", sub, got, err)
	}
	if _, err := cgroup.Processes(sub + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a group that is not there: %v", err)
	}
}

const systemMode = "ZSWAPD_TEST_SYSTEM"

// seen is what the process of TestSystem tells: in its process number namespace there are only it and its children.
type seen struct{ Self, Child, Zombie, Reported []int }

// TestSystem looks at all processes of a process number namespace of its own.
func TestSystem(t *testing.T) {
	capturetest.NeedRoot(t)
	self, err := os.Executable()
	noErr(t, err)
	c := exec.Command(self, "-test.run", "^TestInNamespace$", "-test.v")
	c.Env = append(os.Environ(), systemMode+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "seen ")
	var s seen
	noErr(t, json.NewDecoder(strings.NewReader(line)).Decode(&s))
	if !slices.Equal(s.Reported, s.Child) || len(s.Child) != 2 || s.Self[0] != 1 {
		t.Errorf("%+v", s)
	}
}

// systemMain gives the process of TestSystem its own /proc, before any test runs.
func systemMain() {
	if os.Getenv(systemMode) == "" {
		return
	}
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		panic(err)
	}
}

func TestInNamespace(t *testing.T) {
	if os.Getenv(systemMode) == "" {
		t.Skip("only in the process of TestSystem")
	}
	noErr(t, Private())
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
	if text, err := os.ReadFile("/proc/self/status"); err != nil || strings.Contains(string(text), "VmLck:\t       0 kB") {
		t.Errorf("nothing is locked: %v", err)
	}
	a, b := capturetest.Start(t, "plain:100"), capturetest.Start(t, "plain:50")
	pids, err := Target{System: true}.Processes()
	noErr(t, err)
	pop := scan(t, false, pids...)
	var reported []int
	for _, p := range pop.Processes {
		if p.Eligible >= 50 {
			reported = append(reported, p.PID)
		}
	}
	text, err := json.Marshal(seen{Self: []int{os.Getpid()}, Child: []int{a.PID(), b.PID()}, Reported: reported})
	noErr(t, err)
	fmt.Printf("\nseen %s\n", text)
	mem := slices.Concat(sample(t, pop, everything, 1)...)
	if got := found(t, mem)["plain"]; len(got) != 100 || got[3] != 2 || got[70] != 1 {
		t.Errorf("found %v", got)
	}
}
