package main

import (
	"bytes"
	"context"
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
	"time"

	"github.com/zswapd/zswapd/internal/capturetest"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/swaptest"
)

// binary is the program under test, built from this tree.
var binary string

func TestMain(m *testing.M) {
	capturetest.Main()
	os.Exit(func() int {
		if swaptest.OnlyFuzzes() { // without the program
			return m.Run()
		}
		defer swaptest.Lock()()
		cleanStates(stateRoot + "/*")
		dir, err := os.MkdirTemp("", "zswapd-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // the test without root executes it, too
			panic(err)
		}
		binary = filepath.Join(dir, "zswapd")
		os.Setenv("CGO_ENABLED", "0") // as make build does
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			panic(fmt.Sprintf("go build: %v\n%s", err, out))
		}
		return m.Run()
	}())
}

// stateRoot is where root's tests keep the records of what runs have made, so that tests that were killed in the middle
// are cleaned after by the next ones: a swap device without a server fails everybody.
const stateRoot = "/run/zswapd-test"

func cleanStates(pattern string) {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		panic(err)
	}
	for _, dir := range dirs {
		if report, err := swapdev.Clean(context.Background(), dir, swapdev.CleanOptions{}); len(report) > 0 || err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v, %v\n", dir, report, err)
		}
		if left, _ := swapdev.Records(dir); slices.ContainsFunc(left, func(f swapdev.Found) bool { return f.Owned }) {
			continue // of a service that has outlived its test: without the folder no successor could go on with its device
		}
		os.RemoveAll(dir)
	}
}

// newState returns an empty state folder for the runs of one test.
func newState(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return filepath.Join(t.TempDir(), "state")
	}
	noErr(t, os.MkdirAll(stateRoot, 0o700))
	dir, err := os.MkdirTemp(stateRoot, "")
	noErr(t, err)
	t.Cleanup(func() { cleanStates(dir) })
	return dir
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal("real swap needs root, and ZSWAPD_TEST_ROOT=required")
	}
	t.Skip("real swap needs root")
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is what one call of the program came to.
type outcome struct {
	code        int
	out, errors string
	report      report.Report
}

// swap is call for a run that should swap and live. The kernel's OOM killer strikes a memory cgroup now and then although
// there is swap to be had (ARCHITECTURE.md); such a run is tried again, if nothing on our side was wrong with it.
func swap(t *testing.T, args ...string) outcome {
	t.Helper()
	for try := 1; ; try++ {
		o := call(t, args...)
		r := &o.report
		if try == 3 || o.code != 128+9 || r.Command.OOMKills == 0 || r.Errors.IO+r.Errors.Corrupt+r.Pool.Rejected["full"]+r.Pool.Rejected["alloc_fail"] > 0 {
			return o
		}
	}
}

// call runs the program to its end. With "run" it has a report, and a state folder of its own that is empty afterwards.
func call(t *testing.T, args ...string) outcome {
	t.Helper()
	state := newState(t)
	file := filepath.Join(t.TempDir(), "report.json")
	if args[0] == "run" {
		args = append([]string{"run", "--state", state, "--report", file}, args[1:]...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // never leave swap behind
	c.WaitDelay = time.Minute
	return finish(t, c, state, file)
}

func finish(t *testing.T, c *exec.Cmd, state, file string) (o outcome) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", c.Args, err)
	}
	o = outcome{code: c.ProcessState.ExitCode(), out: stdout.String(), errors: stderr.String()}
	if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
		noErr(t, json.Unmarshal(text, &o.report))
	}
	if left := records(t, state); len(left) > 0 {
		t.Errorf("%v left behind: %+v\n%s", c.Args, left, o.errors)
	}
	t.Logf("%v: exit code %d\n%s", c.Args, o.code, o.errors)
	return o
}

// records returns what the runs of a state folder say they have made.
func records(t *testing.T, state string) (all []swapdev.Record) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "*.json"))
	noErr(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		noErr(t, err)
		var r swapdev.Record
		if json.Unmarshal(text, &r) == nil {
			all = append(all, r)
		}
	}
	return all
}

// gone fails the test if something that a record names is still there.
func gone(t *testing.T, r swapdev.Record) {
	t.Helper()
	if r.Cgroup != "" {
		if _, err := os.Stat(r.Cgroup); err == nil {
			t.Errorf("the cgroup %s is still there", r.Cgroup)
		}
	}
	if swaps, _ := os.ReadFile("/proc/swaps"); r.Loop != "" && strings.Contains(string(swaps), r.Loop+" ") {
		t.Errorf("swap on %s is still on", r.Loop)
	}
	if d, err := swapdev.Find(r.Loop, r.Tag); err == nil {
		t.Errorf("%s is still attached", r.Loop)
		d.Release()
	}
}
