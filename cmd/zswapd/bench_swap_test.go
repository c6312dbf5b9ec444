package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/swapbench"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/swaptest"
)

// benchSwapSize is the disk size by which a zram device of these tests is known, and by which a lost one is found.
const benchSwapSize = 129 << 20

// benchSwapArgs are a measurement of some seconds in a state folder.
func benchSwapArgs(state string, args ...string) []string {
	return append([]string{"bench", "swap", "--state", state, "--memory", "16M", "--size", "32M", "--swap", fmt.Sprint(benchSwapSize),
		"--duration", "300ms", "--rounds", "1"}, args...)
}

func needBench(t *testing.T) {
	t.Helper()
	needRoot(t)
	_, err := os.Stat("/sys/class/zram-control")
	mustBeSo(t, err)
	needAlone(t)
}

// needAlone waits until no other swap is on, where pages could go that are not to go anywhere.
func needAlone(t *testing.T) {
	t.Helper()
	needRoot(t)
	mustBeSo(t, swaptest.Alone())
}

// mustBeSo skips a test for what is not so, but fails it where it must not be skipped.
func mustBeSo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// diskFolder returns a folder for swap files, on a disk.
func diskFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if swapdev.CheckDisk(dir, benchSwapSize) != nil {
		var err error
		dir, err = os.MkdirTemp(".", "swapfile-")
		noErr(t, err)
		t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
	}
	return dir
}

// pageCluster returns vm.page-cluster.
func pageCluster(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/vm/page-cluster")
	noErr(t, err)
	return strings.TrimSpace(string(text))
}

// otherPageCluster returns a value that it does not have.
func otherPageCluster(t *testing.T) string {
	if pageCluster(t) == "2" {
		return "1"
	}
	return "2"
}

// nothingLeft fails the test if something of a measurement is still there.
func nothingLeft(t *testing.T, dir, cluster string) {
	t.Helper()
	sizes, err := filepath.Glob("/sys/block/zram*/disksize")
	noErr(t, err)
	for _, f := range sizes {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == fmt.Sprint(benchSwapSize) {
			t.Errorf("%s is left", filepath.Dir(f))
		}
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("files are left: %v", files)
	}
	if got := pageCluster(t); got != cluster {
		t.Errorf("vm.page-cluster is %s, was %s", got, cluster)
	}
}

// Every kind of device runs the workload to its end, and is gone afterwards.
func TestBenchSwap(t *testing.T) {
	needBench(t)
	dir, state, cluster := diskFolder(t), newState(t), pageCluster(t)
	file := filepath.Join(t.TempDir(), "result.json")
	o := finish(t, exec.Command(binary, benchSwapArgs(state, "--against", "none,zram:lz4,file", "--swap-dir", dir, "--rounds", "2",
		"--page-cluster", otherPageCluster(t), "--json", file, "--gobench", "-")...), state, "")
	if o.code != 0 {
		t.Fatalf("exit code %d", o.code)
	}
	nothingLeft(t, dir, cluster)
	text, err := os.ReadFile(file)
	noErr(t, err)
	var r swapbench.Result
	noErr(t, json.Unmarshal(text, &r))
	var systems []string
	for _, row := range r.Rows {
		systems = append(systems, row.System)
		if len(row.Runs) != 2 || row.Median.TouchesPerSecond <= 0 || (row.Median.SwappedBytes > 0) != (row.System != "none") {
			t.Errorf("%+v", row)
		}
		if n := strings.Count(o.out, "system="+row.System+"/"); n != 2 {
			t.Errorf("%s: %d lines of Go benchmarks", row.System, n)
		}
	}
	if strings.Join(systems, " ") != "zswapd none zram:lz4 file" || r.Version != 1 || fmt.Sprint(r.Machine.PageCluster) != otherPageCluster(t) {
		t.Errorf("%v, %+v", systems, r.Machine)
	}
	if !strings.Contains(o.errors, "of zram:lz4") || !strings.Contains(o.errors, "touches") { // the standard output is taken
		t.Errorf("no table in %q", o.errors)
	}
}

// The command's output is not the result's; when it fails there is none.
func TestBenchSwapCommand(t *testing.T) {
	needBench(t)
	bench := func(script string, against ...string) outcome {
		state := newState(t)
		args := append(benchSwapArgs(state, against...), "--json", "-", "--", "sh", "-c", script)
		return finish(t, exec.Command(binary, args...), state, "")
	}
	o := bench("echo words; cat /proc/self/cgroup", "--against", "none")
	var r swapbench.Result
	if err := json.Unmarshal([]byte(o.out), &r); o.code != 0 || err != nil || len(r.Rows) != 2 || r.Rows[0].Median.WallSeconds <= 0 || r.Rows[0].Median.TouchesPerSecond != 0 {
		t.Errorf("exit code %d, %v, %+v", o.code, err, r)
	}
	if strings.Count(o.errors, "words\n") != 2 || strings.Count(o.errors, "zswapd-run-") != 2 {
		t.Error(o.errors)
	}
	if o := bench("exit 9", "--against", "none"); o.code != exitMachine || o.out != "" || !strings.Contains(o.errors, "exited with 9") {
		t.Errorf("exit code %d, %q", o.code, o.out)
	}
	nothingLeft(t, t.TempDir(), pageCluster(t))
}

func TestBenchSwapBadInput(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--workload", "tidal"}, `--workload: "tidal"`},
		{[]string{"--rounds", "0"}, "--rounds 0"},
		{[]string{"--against", "ssd"}, `--against "ssd"`},
		{[]string{"--latency-hold", "soon"}, `"soon"`},
		{[]string{"--page-cluster", "99"}, "--page-cluster 99"},
		{[]string{"--memory", "1M"}, "--memory 1 MiB"},
		{[]string{"--compressor", "lzma"}, `"lzma"`},
		{[]string{"--size", "1X"}, `"1X" is no size`},
		{[]string{"--json", "-", "--gobench", "-"}, "the standard output is taken"},
		{[]string{"--json", "/no/such/folder/x"}, "/no/such/folder/x"},
		{[]string{"--", "no-such-command"}, `"no-such-command"`},
		{[]string{"ls"}, "zswapd bench swap -- ls"},
	} {
		o := call(t, append([]string{"bench", "swap"}, c.args...)...)
		if o.code != exitUsage || !strings.Contains(o.errors, c.says) || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: exit code %d, says %q; want one line with %q", c.args, o.code, o.errors, c.says)
		}
	}
	if os.Geteuid() == 0 {
		if o := call(t, "bench", "swap", "--against", "file", "--swap-dir", "/dev/shm"); o.code != exitUsage || !strings.Contains(o.errors, "no disk") {
			t.Errorf("a swap file in memory: %d, %q", o.code, o.errors)
		}
		c := exec.Command(binary, "bench", "swap")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if o := finish(t, c, t.TempDir(), ""); o.code != exitMachine || !strings.Contains(o.errors, "sudo") {
			t.Errorf("without root: %d, %q", o.code, o.errors)
		}
	}
	if o := call(t, "bench", "frobnicate"); o.code != exitUsage || !strings.Contains(o.errors, `"frobnicate"`) {
		t.Errorf("an unknown measurement: %d, %q", o.code, o.errors)
	}
}

// benchAt starts a measurement that would take long, and waits until its workload runs on the system, with swap on.
func benchAt(t *testing.T, state, dir, system string) *exec.Cmd {
	t.Helper()
	c := exec.Command(binary, benchSwapArgs(state, "--duration", "1h", "--against", "file", "--swap-dir", dir, "--page-cluster", otherPageCluster(t))...)
	if system != "file" && system != "zswapd" {
		c = exec.Command(binary, benchSwapArgs(state, "--duration", "1h", "--against", system, "--page-cluster", otherPageCluster(t))...)
	}
	if system != "zswapd" { // the first system is ours: let it pass by
		c.Args = append(c.Args, "--", "sh", "-c", "test ! -e "+dir+"/../first && { touch "+dir+"/../first; exit; }; sleep 1000")
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Stderr = os.Stderr // a file: what it starts may outlive it, and Wait would wait for that
	noErr(t, c.Start())
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, r := range records(t, state) {
			made := map[string]string{"zswapd": r.Loop, "zram:lz4": r.ZRAM, "file": r.File}[system]
			procs, _ := os.ReadFile(filepath.Join(r.Cgroup, "cgroup.procs"))
			if swaps, _ := swapdev.On(); made != "" && r.Cgroup != "" && len(procs) > 0 && slices.Contains(swaps, made) {
				return c
			}
		}
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	t.Fatalf("it did not come to %s", system)
	return nil
}

// folderOf returns a folder for swap files with room for a flag beside it.
func folderOf(t *testing.T) string {
	dir := filepath.Join(diskFolder(t), "swap")
	noErr(t, os.Mkdir(dir, 0o755))
	return dir
}

var benchSystems = []string{"zswapd", "zram:lz4", "file"}

func TestBenchSwapInterrupt(t *testing.T) {
	needBench(t)
	for _, system := range benchSystems {
		dir, state, cluster := folderOf(t), newState(t), pageCluster(t)
		c := benchAt(t, state, dir, system)
		if got := pageCluster(t); got == cluster {
			t.Errorf("vm.page-cluster is %s during the run", got)
		}
		noErr(t, syscall.Kill(-c.Process.Pid, syscall.SIGINT)) // the whole foreground group, as a terminal does
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
			t.Errorf("%s: exit code %d", system, code)
		}
		if left := records(t, state); len(left) > 0 {
			t.Errorf("%s: left behind %+v", system, left)
		}
		nothingLeft(t, dir, cluster)
	}
}

// A killed measurement leaves its device and the setting; the next start cleans them.
func TestNextStartCleansAfterAKilledBench(t *testing.T) {
	needBench(t)
	for _, system := range benchSystems {
		dir, state, cluster := folderOf(t), newState(t), pageCluster(t)
		c := benchAt(t, state, dir, system)
		noErr(t, c.Process.Kill())
		_ = c.Wait()
		out, err := exec.Command(binary, "run", "--state", state, "--memory", "32M", "--", "true").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "after a run that was killed") {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
		nothingLeft(t, dir, cluster)
		if left := records(t, state); len(left) > 0 {
			t.Errorf("left behind %+v", left)
		}
	}
}

// The named workloads are there for run as well. Children that end give their pages back.
func TestRunWorkload(t *testing.T) {
	needRoot(t)
	o := swap(t, "run", "--memory", "16M", "--workload", "fork")
	w, r := o.report.Workload, &o.report
	if o.code != 0 || w == nil || w.Failures != 0 || w.Children < 2 || w.Verified < w.Pages {
		t.Fatalf("exit code %d, %+v", o.code, w)
	}
	if r.Swap.DiscardedPages == 0 {
		t.Errorf("nothing was freed: %+v", r.Swap)
	}
	if o := call(t, "run", "--workload", "tidal"); o.code != exitUsage || !strings.Contains(o.errors, `"tidal"`) {
		t.Errorf("exit code %d, %q", o.code, o.errors)
	}
}

var (
	interrupts    = flag.Int("interrupts", 6, "moments at which TestBenchSwapInterruptAnywhere strikes")
	interruptSeed = flag.Uint64("interrupt-seed", uint64(time.Now().UnixNano()), "of those moments")
)

// Whatever it is at, setting up or taking down, Ctrl-C leaves nothing.
func TestBenchSwapInterruptAnywhere(t *testing.T) {
	needBench(t)
	t.Logf("-interrupt-seed=%d", *interruptSeed)
	r := rand.New(rand.NewPCG(*interruptSeed, 0))
	for range *interrupts {
		dir, state, cluster := folderOf(t), newState(t), pageCluster(t)
		c := exec.Command(binary, benchSwapArgs(state, "--against", "zram:lz4,file", "--swap-dir", dir, "--page-cluster", otherPageCluster(t), "--rounds", "100")...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		c.Stderr = os.Stderr
		noErr(t, c.Start())
		for deadline := time.Now().Add(time.Minute); len(records(t, state)) == 0 && time.Now().Before(deadline); { // then it has something to undo
			time.Sleep(time.Millisecond)
		}
		after := time.Duration(r.Int64N(int64(3 * time.Second)))
		time.Sleep(after)
		noErr(t, syscall.Kill(-c.Process.Pid, syscall.SIGINT))
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
			t.Errorf("after %v: exit code %d", after, code)
		}
		if left := records(t, state); len(left) > 0 {
			t.Errorf("after %v: left behind %+v", after, left)
		}
		nothingLeft(t, dir, cluster)
	}
}
