package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/replay"
)

// What a real run swapped is recorded, is replayed with every page right, and holds as much in as little.
func TestRecordAndReplay(t *testing.T) {
	needRoot(t)
	for _, flags := range [][]string{nil, {"--record-sizes"}} {
		dir := t.TempDir()
		file, result := filepath.Join(dir, "trace"), filepath.Join(dir, "result.json")
		o := swap(t, append([]string{"run", "--memory", "32M", "--record", file}, flags...)...)
		tr := o.report.Trace
		if o.code != 0 || tr == nil || tr.Error != "" {
			t.Fatalf("exit code %d, trace %+v", o.code, tr)
		}
		info, err := os.Stat(file)
		noErr(t, err)
		if info.Mode().Perm() != 0o600 || info.Size() != tr.Bytes {
			t.Errorf("%v, %d bytes; the report says %d", info.Mode(), info.Size(), tr.Bytes)
		}
		// The device is looked at before the command; what comes back after it is not recorded.
		if all := tr.Stored + tr.LostPages; tr.Stored < 10_000 || all < o.report.Swap.PagesOut || tr.Loaded < 10_000 {
			t.Errorf("recorded %+v of %+v", tr, o.report.Swap)
		}
		if c := call(t, "bench", "replay", file, "--json", result, "--html", filepath.Join(dir, "page.html")); c.code != 0 || !strings.Contains(c.out, "pool:minlz") {
			t.Fatalf("exit code %d, %s", c.code, c.errors)
		}
		text, err := os.ReadFile(result)
		noErr(t, err)
		var r replay.Report
		noErr(t, json.Unmarshal(text, &r))
		s := r.Systems[0]
		if s.Wrong != 0 || s.Store.Pages != tr.Stored || s.Load.Pages != tr.Loaded || r.Trace.LostEvents != tr.LostEvents || r.Trace.Problem != "" {
			t.Errorf("recorded %+v, replayed %+v: %d out, %d in, %d wrong", tr, r.Trace, s.Store.Pages, s.Load.Pages, s.Wrong)
		}
		if live := o.report.Pool.Ratio; tr.LostPages == 0 && (s.Ratio < live*0.93 || s.Ratio > live*1.07) {
			t.Errorf("%.2f to 1 when it ran, %.2f when it was replayed", live, s.Ratio)
		}
		page, err := os.ReadFile(filepath.Join(dir, "page.html"))
		noErr(t, err)
		if bytes.Count(page, []byte("<figure")) != 7 {
			t.Error("no charts")
		}
	}
}

// A killed run leaves a trace that is cut off, and can be replayed as far as it goes.
func TestTraceOfAKilledRun(t *testing.T) {
	needRoot(t)
	file := filepath.Join(t.TempDir(), "trace")
	state := newState(t)
	c, _ := background(t, state, "--memory", "32M", "--record", file)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(file); err == nil && info.Size() > 8<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Error("nothing is recorded")
			break
		}
	}
	noErr(t, c.Process.Kill())
	_ = c.Wait()
	cleanStates(state)
	o := call(t, "bench", "replay", file)
	if o.code != 0 || !strings.Contains(o.out, "cut off") {
		t.Errorf("exit code %d\n%s%s", o.code, o.out, o.errors)
	}
}

// Without root, the workload in our own process can be recorded, too, and a trace be replayed.
func TestRecordInProcess(t *testing.T) {
	dir := t.TempDir()
	noErr(t, os.Chmod(dir, 0o777))
	noErr(t, os.Chmod(filepath.Dir(dir), 0o755))
	nobody := func(args ...string) outcome {
		c := exec.Command(binary, args...)
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return finish(t, c, filepath.Join(dir, "state"), "")
	}
	file := filepath.Join(dir, "trace")
	if o := nobody("run", "--memory", "8M", "--record", file); o.code != 0 || !strings.Contains(o.errors, "trace") {
		t.Fatalf("exit code %d", o.code)
	}
	o := nobody("bench", "replay", file, "--codec", "lz4", "--json", "-")
	var r replay.Report
	if err := json.Unmarshal([]byte(o.out), &r); err != nil || o.code != 0 || r.Systems[0].Name != "pool:lz4" || r.Trace.Stored < 4000 {
		t.Errorf("%v, exit code %d, %s", err, o.code, o.out)
	}
}

func TestBadTraces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "there")
	noErr(t, os.WriteFile(file, []byte(strings.Repeat("not a trace ", 20)), 0o600))
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"bench", "frobnicate"}, `"frobnicate"`},
		{[]string{"bench", "replay"}, "want one file"},
		{[]string{"bench", "replay", file, file}, "want one file"},
		{[]string{"bench", "replay", file}, "no trace of zswapd"},
		{[]string{"bench", "replay", file + "x"}, "no such file"},
		{[]string{"bench", "replay", dir}, "is no trace"},
		{[]string{"bench", "replay", file, "--speed", "fast"}, `--speed "fast"`},
		{[]string{"bench", "replay", file, "--threads", "0"}, "--threads 0"},
		{[]string{"bench", "replay", file, "--against", "floppy"}, `"floppy"`},
		{[]string{"bench", "replay", file, "--html", dir + "/no/page.html"}, "no such file"},
		{[]string{"run", "--record", file}, "never written over"},
		{[]string{"run", "--record", dir + "/no/trace", "--memory", "16M"}, "no such file"},
		{[]string{"run", "--record-sizes"}, "--record FILE"},
		{[]string{"run", "--record", dir + "/new", "--no-swap"}, "--no-swap"},
	} {
		o := call(t, c.args...)
		last := o.errors[strings.LastIndex(strings.TrimSpace("\n"+o.errors), "\n")+1:]
		if o.code != exitUsage || !strings.Contains(last, c.says) {
			t.Errorf("%v: exit code %d, says %q; want %d, %q", c.args, o.code, o.errors, exitUsage, c.says)
		}
	}
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("a trace that was refused is there")
	}
}

// The trace of a command that could not be started is removed.
func TestNoTraceOfNothing(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	noErr(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	o := call(t, "run", "--memory", "16M", "--record", dir+"/trace", "--", script)
	if _, err := os.Stat(dir + "/trace"); o.code != exitUsage || err == nil {
		t.Errorf("exit code %d, the trace: %v", o.code, err)
	}
}

// Ctrl-C ends a replay, and takes its zram device away.
func TestInterruptedReplay(t *testing.T) {
	needRoot(t)
	file := filepath.Join(t.TempDir(), "trace")
	const pages = 133 << 20 / 4096 // of the swap, and so of the device, which is known by that
	if o := swap(t, "run", "--memory", "16M", "--swap", "133M", "--record", file); o.code != 0 {
		t.Fatalf("exit code %d", o.code)
	}
	c := exec.Command(binary, "bench", "replay", file, "--speed", "as-recorded", "--pool-limit", "1M", "--codec", "none", "--against", "zram:lz4")
	var out bytes.Buffer
	c.Stderr = &out
	noErr(t, c.Start())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if len(zramDevices(t, pages)) > 0 {
			time.Sleep(50 * time.Millisecond) // anywhere in it
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no zram device came")
		}
	}
	noErr(t, c.Process.Signal(syscall.SIGINT))
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	if left := zramDevices(t, pages); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
