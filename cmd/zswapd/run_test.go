package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// The built-in workload, four times its limit, comes back byte for byte through the kernel's swap.
func TestBuiltInWorkload(t *testing.T) {
	needRoot(t)
	o := swap(t, "run", "--memory", "64M")
	r := &o.report
	if o.code != 0 || r.Workload == nil || r.Workload.Failures != 0 || r.Workload.Verified != 4*64<<20/4096 {
		t.Fatalf("exit code %d, workload %+v", o.code, r.Workload)
	}
	if r.Swap.PagesOut < 30_000 || r.Swap.PagesIn < 30_000 || r.Swap.PeakUsedBytes < 150<<20 || !strings.HasPrefix(r.Swap.Device, "/dev/loop") {
		t.Errorf("swap %+v", r.Swap)
	}
	p := r.Pool
	if p.PeakStoredPages < 30_000 || p.Ratio < 2 || p.PeakMemoryBytes > p.LimitBytes || p.SavedBytes <= 0 || p.Codec != "minlz" || p.IncompressiblePages == 0 {
		t.Errorf("pool %+v", p)
	}
	if r.Errors.Corrupt != 0 || r.Errors.IO != 0 || p.Rejected["full"] != 0 {
		t.Errorf("errors %+v, rejected %v", r.Errors, p.Rejected)
	}
	l := r.Latency
	if l.Load.P50 <= 0 || l.Load.P50 > l.Load.P90 || l.Load.P90 > l.Load.P99 || l.Load.P99 > l.Load.Max || l.Store.P50 <= 0 {
		t.Errorf("latency %+v", l)
	}
	if c := r.Command; c.WallSeconds <= 0 || c.MajorFaults < 1000 || c.MaxRSSBytes <= 0 || r.LimitBytes != 64<<20 {
		t.Errorf("command %+v, limit %d", c, r.LimitBytes)
	}
	if d := r.Daemon; d.CPUSeconds <= 0 || d.RSSBytes < p.PeakMemoryBytes/2 || d.OwnBytes <= 0 {
		t.Errorf("daemon %+v", d)
	}
}

func TestEveryCodecSwaps(t *testing.T) {
	needRoot(t)
	for _, codec := range []string{"none", "lz4", "lz4hc", "s2", "zstd"} {
		o := swap(t, "run", "--memory", "16M", "--compressor", codec)
		if o.code != 0 || o.report.Pool.Codec != codec || o.report.Workload == nil || o.report.Workload.Failures != 0 || o.report.Swap.PagesIn == 0 {
			t.Errorf("%s: exit code %d, %+v", codec, o.code, o.report.Pool)
		}
	}
}

// The command's output and exit code are ours; what it leaves running is ended.
func TestCommand(t *testing.T) {
	needRoot(t)
	o := call(t, "run", "--memory", "32M", "--", "sh", "-c", "sleep 1000 & echo out; echo err >&2; cat /proc/self/cgroup; exit 7")
	if o.code != 7 || o.report.Command.ExitCode != 7 || !strings.HasPrefix(o.out, "out\n") || !strings.Contains(o.errors, "err\n") {
		t.Errorf("exit code %d, output %q", o.code, o.out)
	}
	if !strings.Contains(o.out, "zswapd-run-") {
		t.Errorf("not in a cgroup of ours: %q", o.out)
	}
	if o := call(t, "run", "--", "sh", "-c", "kill -9 $$"); o.code != 128+9 {
		t.Errorf("killed by a signal: exit code %d", o.code)
	}
}

// Without us the limit means death.
func TestNoSwapIsTheBaseline(t *testing.T) {
	needRoot(t)
	o := call(t, "run", "--memory", "32M", "--no-swap")
	if o.code != 128+9 || o.report.Command.OOMKills == 0 || o.report.Swap.Device != "" || o.report.Pool.Codec != "" {
		t.Errorf("exit code %d, %+v", o.code, o.report)
	}
	if o := call(t, "run", "--memory", "32M", "--no-swap", "--", "echo", "fits"); o.code != 0 || o.out != "fits\n" {
		t.Errorf("a command that fits: %d, %q", o.code, o.out)
	}
}

// A pool that fills up refuses pages, and the kernel keeps them: the workload is killed, and not only after minutes of trying the same
// pages again, but nothing is corrupt.
func TestPoolFillsUp(t *testing.T) {
	needAlone(t)
	o := call(t, "run", "--memory", "16M", "--pool-limit", "4M")
	r := &o.report
	if o.code != 128+9 || r.Command.OOMKills == 0 {
		t.Errorf("exit code %d, %+v", o.code, r.Command)
	}
	if r.Pool.Rejected["full"] == 0 || r.Pool.PeakMemoryBytes > 4<<20 || r.Errors.Corrupt != 0 || r.Errors.IO != 0 || !strings.Contains(o.errors, "--pool-limit") {
		t.Errorf("exit code %d, %+v %+v", o.code, r.Pool, r.Errors)
	}
	if r.Workload != nil && r.Workload.Failures != 0 {
		t.Errorf("workload %+v", r.Workload)
	}
}

// With a backing file the same pool is enough: what does not fit is written, and comes back byte for byte. A file in a folder
// has no name; one with a name is left empty.
func TestBackingFile(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "pages")} {
		o := swap(t, "run", "--memory", "24M", "--pool-limit", "8M", "--backing", path, "--backing-size", "512M")
		r := &o.report
		if o.code != 0 || r.Workload == nil || r.Workload.Failures != 0 || r.Workload.Verified != 4*24<<20/4096 {
			t.Fatalf("%s: exit code %d, workload %+v, %s", path, o.code, r.Workload, o.errors)
		}
		w := r.Tiers.Written
		if w == nil || w.PagesOut < 1000 || w.Reads == 0 || w.BytesOut == 0 || w.WriteErrors != 0 || !strings.Contains(o.errors, "written back") {
			t.Errorf("%s: written %+v", path, w)
		}
		if r.Errors.Corrupt != 0 || r.Errors.Unreadable != 0 || r.Errors.IO != 0 || r.Pool.PeakMemoryBytes > 8<<20 {
			t.Errorf("%s: errors %+v, %d bytes of memory", path, r.Errors, r.Pool.PeakMemoryBytes)
		}
	}
	left, err := os.ReadDir(dir)
	noErr(t, err)
	if st, err := os.Stat(filepath.Join(dir, "pages")); len(left) != 1 || err != nil || st.Size() > 4096 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"statsu"}, exitUsage, `unknown command "statsu" for "zswapd"; do you mean status?; see zswapd --help`},
		{[]string{"config", "sho"}, exitUsage, `unknown command "sho" for "zswapd config"; do you mean show?; see zswapd config --help`},
		{[]string{"run", "--memory", "12X"}, exitUsage, `"12X" is no size`},
		{[]string{"run", "--memory", "-1M"}, exitUsage, `"-1M" is no size`},
		{[]string{"run", "--memory", "1M"}, exitUsage, "--memory 1 MiB"},
		{[]string{"run", "--swap", "64T"}, exitUsage, "--swap 64 TiB"},
		{[]string{"run", "--pool-limit", "4K"}, exitUsage, "--pool-limit 4 KiB"},
		{[]string{"run", "--pool-limit", "100T"}, exitUsage, "--pool-limit 100 TiB"},
		{[]string{"run", "--backing", "/nowhere/at/all"}, exitUsage, "--backing /nowhere/at/all"},
		{[]string{"run", "--backing", "/tmp", "--no-swap"}, exitUsage, "--backing: there is no pool"},
		{[]string{"run", "--writeback-after", "1m"}, exitUsage, "--backing FILE"},
		{[]string{"run", "--backing", "/tmp", "--backing-size", "1M"}, exitUsage, "--backing-size 1 MiB"},
		{[]string{"run", "--memory", "1G", "--swap", "3G"}, exitUsage, "--swap 3 GiB: the built-in workload"},
		{[]string{"run", "--idle-after", "0"}, exitUsage, "--idle-after 0"},
		{[]string{"run", "--compressor", "lzma"}, exitUsage, `"lzma" is not a codec: want none, lz4`},
		{[]string{"run", "--priority", "-5"}, exitUsage, "--priority -5"},
		{[]string{"run", "--transport", "pigeon"}, exitUsage, `"pigeon"`},
		{[]string{"run", "--latency-hold", "soon"}, exitUsage, `"soon"`},
		{[]string{"run", "--", "no-such-command"}, exitUsage, `"no-such-command"`},
		{[]string{"run", "--", "/etc/passwd"}, exitUsage, "permission denied"},
		{[]string{"run", "ls"}, exitUsage, "zswapd run -- ls"},
		{[]string{"run", "--frobnicate"}, exitUsage, "--frobnicate"},
		{[]string{"frobnicate"}, exitUsage, `"frobnicate"`},
	} {
		o := call(t, c.args...)
		if o.code != c.code || !strings.Contains(o.errors, c.says) || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: exit code %d, says %q; want %d, one line with %q", c.args, o.code, o.errors, c.code, c.says)
		}
	}
	file := filepath.Join(t.TempDir(), "no", "report.json")
	out, err := exec.Command(binary, "run", "--report", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), file) {
		t.Errorf("a report that cannot be written: %v, %q", err, out)
	}
}

// A command that never ran has no report: no new file, and an old one as it was.
func TestNoReport(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	old := filepath.Join(dir, "old.json")
	noErr(t, os.WriteFile(old, []byte("old"), 0o644))
	for _, file := range []string{filepath.Join(dir, "new.json"), old} {
		if out, err := exec.Command(binary, "run", "--state", newState(t), "--report", file, "--", "nosuchprogram").CombinedOutput(); err == nil {
			t.Errorf("it ran: %s", out)
		}
	}
	left, err := os.ReadDir(dir)
	text, _ := os.ReadFile(old)
	if err != nil || len(left) != 1 || string(text) != "old" {
		t.Errorf("left: %v, %v, with %q", left, err, text)
	}
}

// Without root there is no kernel swap, and we say so; the pool can still be tried.
func TestWithoutRoot(t *testing.T) {
	nobody := func(args ...string) outcome {
		dir := t.TempDir()
		noErr(t, os.Chmod(dir, 0o777))
		noErr(t, os.Chmod(filepath.Dir(dir), 0o755))
		file := filepath.Join(dir, "report.json")
		c := exec.Command(binary, append([]string{"run", "--report", file}, args...)...)
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return finish(t, c, filepath.Join(dir, "state"), file)
	}
	o := nobody("--memory", "16M")
	if r := o.report; o.code != 0 || !strings.Contains(o.errors, "not kernel swap") || !strings.Contains(o.errors, "sudo") || r.Swap.Device != "" || r.Workload == nil || r.Workload.Failures != 0 || r.Pool.PeakStoredPages < 10_000 {
		t.Errorf("exit code %d, %+v", o.code, r)
	}
	o = nobody("--memory", "8M", "--pool-limit", "4M")
	if r := o.report; o.code != exitMachine || !strings.Contains(o.errors, "--pool-limit") || r.Workload == nil || r.Workload.Failures != 0 || r.Pool.Rejected["full"] != 1 {
		t.Errorf("a full pool: exit code %d, %+v", o.code, r)
	}
	if o := nobody("--workload", "fork"); o.code != exitUsage || !strings.Contains(o.errors, "sudo") {
		t.Errorf("a workload without root: exit code %d", o.code)
	}
	if o := nobody("--", "true"); o.code != exitMachine || !strings.Contains(o.errors, "sudo") {
		t.Errorf("a command without root: exit code %d", o.code)
	}
}

// background starts the program and waits until its swap is on and its command runs.
func background(t *testing.T, state string, args ...string) (*exec.Cmd, swapdev.Record) {
	t.Helper()
	c := exec.Command(binary, append([]string{"run", "--state", state, "--memory", "32M"}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Stderr = os.Stderr
	noErr(t, c.Start())
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, r := range records(t, state) {
			if procs, _ := os.ReadFile(filepath.Join(r.Cgroup, "cgroup.procs")); r.Cgroup != "" && len(procs) > 0 {
				return c, r
			}
		}
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	t.Fatal("it did not start its command")
	return nil, swapdev.Record{}
}

// Ctrl-C ends the command, and everything is taken down.
func TestInterrupt(t *testing.T) {
	needRoot(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		state := newState(t)
		c, r := background(t, state, "--", "sleep", "1000")
		target := -c.Process.Pid // the whole foreground group, as a terminal does
		if signal == syscall.SIGTERM {
			target = c.Process.Pid
		}
		noErr(t, syscall.Kill(target, signal))
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != 128+int(signal) {
			t.Errorf("%v: exit code %d", signal, code)
		}
		gone(t, r)
		if left := records(t, state); len(left) > 0 {
			t.Errorf("%v: left behind %+v", signal, left)
		}
	}
}

// Who reads what we print may leave (a tee that Ctrl-C ends, head): swap goes on.
func TestReaderLeaves(t *testing.T) {
	needRoot(t)
	state := newState(t)
	c := exec.Command(binary, "run", "--state", state, "--memory", "48M")
	r, w, err := os.Pipe()
	noErr(t, err)
	c.Stderr = w
	noErr(t, c.Start())
	noErr(t, w.Close())
	_, err = r.Read(make([]byte, 1))
	noErr(t, errors.Join(err, r.Close()))
	if err := c.Wait(); err != nil && c.ProcessState.ExitCode() != 128+9 { // the OOM killer: see swap
		t.Error(err)
	}
	if left := records(t, state); len(left) > 0 {
		t.Errorf("left behind %+v", left)
	}
}

// What was ignored when we were started is ignored by us and by the command, nothing else.
func TestSignalsAreInherited(t *testing.T) {
	needRoot(t)
	script := `grep SigIgn /proc/self/status; kill -HUP $PPID; kill -HUP $$; yes | head -1; echo survived`
	for trap, want := range map[string]string{"trap '' HUP": "SigIgn:\t0000000000000001\ny\nsurvived\n", ":": "SigIgn:\t0000000000000000\n"} {
		c := exec.Command("sh", "-c", trap+`; exec "$0" "$@"`, binary, "run", "--state", newState(t), "--", "sh", "-c", script)
		if out, _ := c.Output(); string(out) != want {
			t.Errorf("%s: %q", trap, out)
		}
	}
}

// A killed run leaves its device, swap and cgroup; the next start cleans them.
func TestNextStartCleansAfterAKill(t *testing.T) {
	needRoot(t)
	for _, transport := range []string{"dev", "uring"} {
		t.Run(transport, func(t *testing.T) {
			if transport == "uring" {
				setURing(t, "Y")
			}
			testNextStartCleansAfterAKill(t, transport)
		})
	}
}

func testNextStartCleansAfterAKill(t *testing.T, transport string) {
	state := newState(t)
	c, r := background(t, state, "--memory", "256M", "--transport", transport)
	time.Sleep(time.Second) // let it swap
	noErr(t, c.Process.Kill())
	_ = c.Wait()
	if r = records(t, state)[0]; r.Loop == "" {
		t.Fatalf("the record names no device: %+v", r)
	}
	next := exec.Command(binary, "run", "--state", state, "--memory", "32M", "--", "true")
	out, err := next.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "after a run that was killed") {
		t.Errorf("%v\n%s", err, out)
	}
	gone(t, r)
	if left := records(t, state); len(left) > 0 {
		t.Errorf("left behind %+v", left)
	}
}

// setURing makes the kernel offer FUSE over io_uring, "Y", or not, "N", until the test ends.
func setURing(t *testing.T, value string) {
	t.Helper()
	const setting = "/sys/module/fuse/parameters/enable_uring"
	before, err := os.ReadFile(setting)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("Linux before 6.14 has no FUSE over io_uring")
	}
	noErr(t, err)
	noErr(t, os.WriteFile(setting, []byte(value), 0o644))
	t.Cleanup(func() { _ = os.WriteFile(setting, before, 0o644) })
}

// Pages are what they were whichever way they went, and who asked for a way that is not there is told.
func TestTransport(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		transport, offer string
		told             bool
	}{{"dev", "Y", false}, {"auto", "Y", false}, {"uring", "Y", false}, {"auto", "N", false}, {"uring", "N", true}} {
		t.Run(c.transport+"/offered="+c.offer, func(t *testing.T) {
			setURing(t, c.offer)
			o := swap(t, "run", "--memory", "16M", "--transport", c.transport)
			if o.code != 0 || o.report.Workload == nil || o.report.Workload.Failures != 0 || o.report.Errors.IO != 0 {
				t.Errorf("exit code %d, %+v", o.code, o.report)
			}
			if told := strings.Contains(o.errors, "instead of io_uring"); told != c.told {
				t.Errorf("says %q", o.errors)
			}
		})
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	needRoot(t)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if o := swap(t, "run", "--memory", "16M"); o.code != 0 || o.report.Workload == nil || o.report.Workload.Failures != 0 {
				t.Errorf("exit code %d", o.code)
			}
		})
	}
	all.Wait()
}
