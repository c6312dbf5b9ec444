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

	"github.com/zswapd/zswapd/internal/bench"
	"github.com/zswapd/zswapd/internal/zram"
)

// benchPool runs zswapd bench pool to its end.
func benchPool(t *testing.T, args ...string) outcome {
	t.Helper()
	return call(t, append([]string{"bench", "pool"}, args...)...)
}

func TestBenchPool(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.txt")
	o := benchPool(t, "--corpus", "gen:java", "--corpus", "gen:typical", "--pages", "600", "--rounds", "1", "--codec", "lz4,minlz", "--threads", "1,2", "--json", "-", "--gobench", file)
	var r bench.Result
	noErr(t, json.Unmarshal([]byte(o.out), &r))
	if o.code != 0 || len(r.Rows) != 8 || r.Rows[0].Codec != "lz4" || r.Rows[7].Corpus != "gen:typical" || r.Rows[7].Threads != 2 || r.Rows[7].Pages != 600 {
		t.Errorf("exit code %d, %+v", o.code, r.Rows)
	}
	if !strings.Contains(o.errors, "gen:typical: 600 pages, ") || !strings.Contains(o.errors, " same-filled, ") {
		t.Error("no table for people on standard error while standard output is taken")
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\nBenchmarkPool/") != 8*4 {
		t.Errorf("%v\n%s", err, text)
	}
	if o := benchPool(t, "--corpus", "gen:java", "--pages", "600", "--rounds", "1"); o.code != 0 || !strings.Contains(o.out, "gen:java: 600 pages") || o.errors != "" {
		t.Errorf("exit code %d, output %q, errors %q", o.code, o.out, o.errors)
	}
}

func TestBenchPoolAgainstZRAM(t *testing.T) {
	needZRAM(t)
	o := benchPool(t, "--corpus", "gen:java", "--pages", "607", "--rounds", "1", "--against", "zram:lz4,zram:lzo-rle")
	if o.code != 0 || strings.Count(o.out, "  zram ") != 6 || !strings.Contains(o.out, "zram:lzo-rle") {
		t.Errorf("exit code %d", o.code)
	}
	if left := zramDevices(t, 607); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBenchPoolBadInput(t *testing.T) {
	twice := filepath.Join(t.TempDir(), "result")
	zero := filepath.Join(t.TempDir(), "zero.bin")
	noErr(t, os.WriteFile(zero, make([]byte, 8192), 0o600))
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--corpus", "/no/such/folder"}, "/no/such/folder"},
		{[]string{"--corpus", "gen:perl"}, `"perl"`},
		{[]string{"--corpus", zero}, "all of its 2 pages are same-filled"},
		{[]string{"--codec", "lzma"}, `"lzma" is not a codec`},
		{[]string{"--against", "lz4"}, `--against "lz4"`},
		{[]string{"--threads", "0"}, "--threads 0"},
		{[]string{"--threads", "two"}, "--threads"},
		{[]string{"--rounds", "0"}, "--rounds 0"},
		{[]string{"--json", "/no/such/folder/x.json"}, "/no/such/folder/x.json"},
		{[]string{"--json", "-", "--gobench", "-"}, "--gobench -"},
		{[]string{"--json", twice, "--gobench", filepath.Dir(twice) + "/./result"}, "that is where --json goes"},
		{[]string{"--json", twice, "--rounds", "0"}, "--rounds 0"},
		{[]string{"java.bin"}, `"java.bin"`},
	} {
		o := benchPool(t, c.args...)
		if o.code != exitUsage || !strings.Contains(o.errors, c.says) || strings.Count(o.errors, "\n") != 1 || o.out != "" {
			t.Errorf("%v: exit code %d, says %q; want %d, one line with %q", c.args, o.code, o.errors, exitUsage, c.says)
		}
	}
	if _, err := os.Stat(twice); err == nil {
		t.Error("a file without a result is left")
	}
}

// Without root only what needs it is refused.
func TestBenchPoolWithoutRoot(t *testing.T) {
	nobody := func(args ...string) outcome {
		c := exec.Command(binary, append([]string{"bench", "pool", "--corpus", "gen:java", "--pages", "600", "--rounds", "1"}, args...)...)
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return finish(t, c, "", "")
	}
	if o := nobody(); o.code != 0 || !strings.Contains(o.out, "gen:java") {
		t.Errorf("exit code %d", o.code)
	}
	if o := nobody("--against", "zram:lz4"); o.code != exitMachine || !strings.Contains(o.errors, "needs root") || strings.Count(o.errors, "\n") != 1 {
		t.Errorf("exit code %d, %q", o.code, o.errors)
	}
}

// Signals do not leave a device behind, nor does a reader of our messages who leaves: SIGPIPE is ignored.
func TestBenchPoolInterrupted(t *testing.T) {
	needZRAM(t)
	for i, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		pages := 10007 + i
		c := exec.Command(binary, "bench", "pool", "--corpus", "gen:java", "--pages", fmt.Sprint(pages), "--rounds", "1000", "--against", "zram:lz4")
		var stderr bytes.Buffer
		c.Stderr = &stderr
		noErr(t, c.Start())
		exited := make(chan struct{})
		go func() { _ = c.Wait(); close(exited) }()
		for deadline := time.Now().Add(30 * time.Second); len(zramDevices(t, pages)) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("it made no device")
				break
			}
		}
		if !ignores(t, c.Process.Pid, syscall.SIGPIPE) {
			t.Error("SIGPIPE would end it")
		}
		noErr(t, c.Process.Signal(signal))
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			_ = c.Process.Kill()
			t.Fatalf("%v: it does not end", signal)
		}
		if code := c.ProcessState.ExitCode(); code != 128+int(signal) {
			t.Errorf("%v: exit code %d\n%s", signal, code, &stderr)
		}
		if left := zramDevices(t, pages); len(left) > 0 {
			t.Errorf("%v: left behind %v", signal, left)
		}
	}
}

// What a run that is killed leaves, the next one removes.
func TestBenchPoolKilled(t *testing.T) {
	needZRAM(t)
	const pages = 10011
	state := t.TempDir()
	c := exec.Command(binary, "bench", "pool", "--state", state, "--corpus", "gen:java", "--pages", fmt.Sprint(pages), "--rounds", "1000", "--against", "zram:lz4")
	noErr(t, c.Start())
	for deadline := time.Now().Add(30 * time.Second); len(zramDevices(t, pages)) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if left := zramDevices(t, pages); len(left) != 1 {
		t.Fatalf("left behind %v", left)
	}
	c = exec.Command(binary, "bench", "pool", "--state", state, "--corpus", "gen:java", "--pages", "64", "--rounds", "1", "--against", "zram:lz4")
	text, err := c.CombinedOutput()
	if left := zramDevices(t, pages); err != nil || len(left) > 0 || !strings.Contains(string(text), "): removed /dev/zram") {
		t.Errorf("left behind %v; %v\n%s", left, err, text)
	}
	if files, err := os.ReadDir(state); err != nil || len(files) > 0 {
		t.Errorf("records left: %v, %v", files, err)
	}
}

// ignores reports whether a process ignores a signal.
func ignores(t *testing.T, pid int, signal syscall.Signal) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	noErr(t, err)
	_, rest, _ := strings.Cut(string(text), "\nSigIgn:")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	noErr(t, err)
	return mask>>(signal-1)&1 != 0
}

func needZRAM(t *testing.T) {
	t.Helper()
	needRoot(t)
	if _, err := zram.Algorithms(); err != nil {
		if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// zramDevices returns the devices of so many pages, which nobody else takes.
func zramDevices(t *testing.T, pages int) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/sys/block/zram*/disksize")
	noErr(t, err)
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == fmt.Sprint(pages*4096) {
			found = append(found, f)
		}
	}
	return found
}
