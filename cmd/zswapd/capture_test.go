package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/capturetest"
	"github.com/zswapd/zswapd/internal/estimate"
)

func TestCapture(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:2000", "locked:5")
	child.Stop()
	pid, dir := strconv.Itoa(child.PID()), t.TempDir()
	file := filepath.Join(dir, "x.bin")
	o := call(t, "capture", "--pid", pid, "-o", file)
	whole, err := os.ReadFile(file)
	noErr(t, err)
	if o.code != 0 || len(whole) < 2000*4096 || o.out != "" {
		t.Errorf("exit code %d, %d bytes, says %q", o.code, len(whole), o.out)
	}
	for _, says := range []string{"WARNING", "other programs", "locked 20 KiB", "process " + pid, fmt.Sprintf("holds %d,%03d of", len(whole)/4096/1000, len(whole)/4096%1000)} {
		if !strings.Contains(o.errors, says) {
			t.Errorf("does not say %q", says)
		}
	}
	if o := call(t, "capture", "--pid", pid, "-o", file); o.code != exitUsage || !strings.Contains(o.errors, "--force") {
		t.Errorf("over another file: exit code %d", o.code)
	}
	o = call(t, "capture", "--pid", pid, "-o", file, "--force", "--all", "--max", "1M", "--seed", "7")
	part, err := os.ReadFile(file)
	noErr(t, err)
	if o.code != 0 || len(part) > 1<<20 || len(part) <= 1<<20-64<<10 || !strings.Contains(o.errors, "secrets") || strings.Contains(o.errors, "locked 20 KiB") {
		t.Errorf("exit code %d, %d bytes", o.code, len(part))
	}
	o = call(t, "capture", "--pid", pid, "-o", filepath.Join(dir, "y.bin"), "--all", "--max", "1M", "--seed", "7")
	if again, err := os.ReadFile(filepath.Join(dir, "y.bin")); err != nil || o.code != 0 || !bytes.Equal(again, part) {
		t.Errorf("the same again: exit code %d, %d bytes, %v", o.code, len(again), err)
	}
	o = call(t, "capture", "--pid", pid, "-o", file, "--force", "--all", "--max", "1M", "--seed", "8")
	if other, err := os.ReadFile(file); err != nil || o.code != 0 || bytes.Equal(other, part) {
		t.Errorf("another seed: exit code %d, %d bytes, %v", o.code, len(other), err)
	}
}

func TestEstimate(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "java:2000")
	pid := strconv.Itoa(child.PID())
	var r estimate.Report
	o := call(t, "estimate", "--pid", pid, "--json", "-")
	if err := json.Unmarshal([]byte(o.out), &r); o.code != 0 || err != nil || r.Version != 1 || r.Sample.Pages < 2000 || r.Target != "process "+pid {
		t.Errorf("exit code %d, %v, %q", o.code, err, o.out)
	}
	text := o.errors // for people
	file := filepath.Join(t.TempDir(), "r.json")
	o = call(t, "estimate", "--pid", pid, "--json", file, "--max", "1M")
	b, err := os.ReadFile(file)
	if noErr(t, err); o.code != 0 || json.Unmarshal(b, &r) != nil || r.Sample.Pages > 256 {
		t.Errorf("exit code %d, %s", o.code, b)
	}
	for _, text := range []string{text, o.out} {
		for _, says := range []string{"of process " + pid, "minlz", "zstd, 16 KiB", "choose", "because", "100 % idle"} {
			if !strings.Contains(text, says) {
				t.Errorf("%s\ndoes not say %q", text, says)
			}
		}
	}
}

func TestNothingToSee(t *testing.T) {
	capturetest.NeedRoot(t)
	locked := capturetest.Start(t, "everything:10")
	pid, file := strconv.Itoa(locked.PID()), filepath.Join(t.TempDir(), "x.bin")
	for _, args := range [][]string{{"capture", "--pid", pid, "-o", file}, {"estimate", "--pid", pid}} {
		if o := call(t, args...); o.code != exitMachine || !strings.Contains(o.errors, "no resident anonymous memory") || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q", args, o.code, o.errors)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a file")
	}
}

func TestBadTargets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.bin")
	for _, c := range []struct {
		args string
		says string
	}{
		{"capture -o FILE", "one of --pid N, --cgroup PATH and --system"},
		{"capture -o FILE --system --pid 1", "one of --pid"},
		{"capture -o FILE --pid x", `"x"`},
		{"capture -o FILE --pid 1073741824", "no such process"},
		{"capture -o FILE --cgroup /no/such/group", "/no/such/group"},
		{"capture -o /dev/null --force --pid PARENT", "/dev/null"},
		{"capture -o /no/such/folder/x --pid PARENT", "/no/such/folder"},
		{"capture --pid PARENT", "-o FILE"},
		{"capture -o FILE --pid PARENT --max 10K", "--max 10 KiB"},
		{"capture -o FILE --pid PARENT --max lots", `"lots" is no size`},
		{"capture -o FILE --pid PARENT extra", `"extra"`},
		{"estimate", "one of --pid"},
		{"estimate --pid 1073741824", "no such process"},
		{"estimate --pid PARENT --json /no/such/folder/x", "/no/such/folder"},
	} {
		args := strings.Fields(strings.NewReplacer("FILE", file, "PARENT", strconv.Itoa(os.Getpid())).Replace(c.args))
		if o := call(t, args...); o.code != exitUsage || !strings.Contains(o.errors, c.says) || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: exit code %d, says %q; want %d, one line with %q", c.args, o.code, o.errors, exitUsage, c.says)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a file")
	}
}

func TestOthersMemoryNeedsRoot(t *testing.T) {
	dir := t.TempDir()
	noErr(t, os.Chmod(dir, 0o777))
	noErr(t, os.Chmod(filepath.Dir(dir), 0o755))
	for _, args := range [][]string{{"capture", "-o", filepath.Join(dir, "x.bin")}, {"estimate"}} {
		c := exec.Command(binary, append(args, "--pid", strconv.Itoa(os.Getpid()))...)
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		if o := finish(t, c, dir, ""); o.code != exitMachine || !strings.Contains(o.errors, "needs root: put sudo") || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q", args, o.code, o.errors)
		}
	}
}

// Ctrl-C leaves no file, not even a part of one.
func TestInterruptedCapture(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:10000")
	for try := 1; ; try++ {
		dir := t.TempDir()
		c := exec.Command(binary, "capture", "--pid", strconv.Itoa(child.PID()), "-o", filepath.Join(dir, "x.bin"))
		noErr(t, c.Start())
		caught := writing(t, c.Process.Pid, dir)
		if caught {
			noErr(t, c.Process.Signal(syscall.SIGSTOP))
			caught = state(c.Process.Pid, "T") && writing(t, c.Process.Pid, dir)
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
			if caught && strings.Contains(string(status), "VmLck:\t       0 kB") {
				t.Error("it has others' pages in memory that is not locked")
			}
		}
		noErr(t, c.Process.Signal(syscall.SIGINT))
		noErr(t, c.Process.Signal(syscall.SIGCONT))
		_ = c.Wait()
		if !caught && try < 20 {
			continue // it was done too soon
		}
		list, err := os.ReadDir(dir)
		noErr(t, err)
		if code := c.ProcessState.ExitCode(); code != 130 || len(list) > 0 {
			t.Errorf("exit code %d, left behind: %v", code, list)
		}
		return
	}
}

// writing waits until a process has a file in the folder, with a name or without, and reports whether it is one that is not whole yet.
func writing(t *testing.T, pid int, dir string) bool {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if list, _ := os.ReadDir(dir); len(list) > 0 {
			return strings.HasPrefix(list[0].Name(), ".")
		}
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range open {
			if path, _ := os.Readlink(fd); strings.HasPrefix(path, dir+"/") {
				return true
			}
		}
	}
	t.Fatal("it did not begin to write")
	return false
}

// state waits until a process is in a state.
func state(pid int, want string) bool {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if strings.Contains(string(text), ") "+want+" ") {
			return true
		}
		if strings.Contains(string(text), ") Z ") {
			return false
		}
	}
	return false
}
