package swapbench

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/workload"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; then read the difference")

func TestSumUp(t *testing.T) {
	for _, c := range []struct{ runs, want []float64 }{ // median, least, most
		{[]float64{7}, []float64{7, 7, 7}},
		{[]float64{9, 1, 4}, []float64{4, 1, 9}},
		{[]float64{9, 1, 4, 6}, []float64{5, 1, 9}},
	} {
		var row Row
		for _, v := range c.runs {
			row.Runs = append(row.Runs, Figures{WallSeconds: v, StolenShare: 10 - v})
		}
		row.sumUp()
		if got := []float64{row.Median.WallSeconds, row.Min.WallSeconds, row.Max.WallSeconds}; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, want %v", c.runs, got, c.want)
		}
		if row.Median.StolenShare != 10-c.want[0] { // each figure by itself
			t.Errorf("%v: %+v", c.runs, row.Median)
		}
	}
}

// No figure is forgotten.
func TestFiguresAreAll(t *testing.T) {
	var f Figures
	for _, g := range figures {
		*g.of(&f)++
	}
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if v.Field(i).Float() != 1 {
			t.Errorf("%s is there %v times", v.Type().Field(i).Name, v.Field(i))
		}
	}
}

func TestFiguresOf(t *testing.T) {
	r := &report.Report{
		Command:  report.Command{WallSeconds: 9, UserSeconds: 1, SystemSeconds: 2, MajorFaults: 77},
		Daemon:   report.Daemon{UserSeconds: 3, SystemSeconds: 4},
		Machine:  machine.Noise{UserSeconds: 14, SystemSeconds: 5, Stolen: 0.5},
		Swap:     report.Swap{PeakUsedBytes: 300, MemoryAtPeakBytes: 100, PeakMemoryBytes: 120},
		Workload: &workload.Result{TouchesPerSecond: 5, FillSeconds: 6, Fault: workload.Latency{P50: 7, P90: 8, P99: 9}},
	}
	want := Figures{
		WallSeconds: 9, TouchesPerSecond: 5, FaultP50Ns: 7, FaultP90Ns: 8, FaultP99Ns: 9, FillSeconds: 6, MajorFaults: 77,
		SwappedBytes: 300, MemoryBytes: 100, PeakMemoryBytes: 120, Ratio: 3,
		CommandUserSeconds: 1, CommandSystemSeconds: 2, DaemonUserSeconds: 3, DaemonSystemSeconds: 4,
		RestUserSeconds: 10, RestSystemSeconds: 0, StolenShare: 0.5, // /proc/stat counts coarser: the rest is never below nothing
	}
	if got := figuresOf(r); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// example is a result of two rounds, one of which was killed on zram.
func example() *Result {
	r := &Result{
		Version: Version, Machine: machine.Machine{CPUs: 2, CPU: "A CPU", Kernel: "6.18", Go: "go1.26", MemoryBytes: 1 << 30, HugePages: "never"},
		Noise:    machine.Noise{Busy: 0.5},
		Settings: Settings{Args: []string{}, Workload: "random", MemoryBytes: 256 << 20, SizeBytes: 512 << 20, SwapBytes: 1 << 30, DurationSeconds: 10, Rounds: 2, Compressor: "minlz"},
	}
	run := func(speed float64, daemon bool, memory float64) Figures {
		f := Figures{
			WallSeconds: 12.5, TouchesPerSecond: speed, FaultP50Ns: 1e9 / speed, FaultP90Ns: 2e9 / speed, FaultP99Ns: 3e9 / speed, FillSeconds: 1,
			MajorFaults: 8 * speed, SwappedBytes: 512 << 20, MemoryBytes: memory, PeakMemoryBytes: memory, CommandUserSeconds: 1, CommandSystemSeconds: 2, RestSystemSeconds: 3,
		}
		if memory > 0 {
			f.Ratio = f.SwappedBytes / memory
		}
		if daemon {
			f.DaemonUserSeconds = 4
		}
		return f
	}
	idle := Figures{WallSeconds: 11, TouchesPerSecond: 1e6, CommandUserSeconds: 8}
	r.Rows = []Row{
		{System: ours, LatencyHold: HoldAuto, Default: true, Runs: []Figures{run(60e3, true, 200<<20), run(70e3, true, 190<<20)}, name: "zswapd"},
		{System: none, LatencyHold: HoldAuto, Runs: []Figures{idle, idle}, name: "none"},
		{System: "zram:lz4", LatencyHold: HoldAuto, OOMKilled: 3, Runs: []Figures{run(130e3, false, 220<<20)}, name: "zram:lz4"},
		{System: file, LatencyHold: HoldOn, Runs: []Figures{run(10e3, false, 0), run(11e3, false, 0)}, name: "file, hold"},
	}
	for i := range r.Rows {
		r.Rows[i].sumUp()
	}
	r.compare()
	return r
}

func TestCompare(t *testing.T) {
	r := example()
	for i, want := range []float64{0.5, 1e6 / 130e3, 1, 0} { // none of the zrams has a hold
		if got := r.Rows[i].SpeedOfZRAM; got != want {
			t.Errorf("%s: %v, want %v", r.Rows[i].name, got, want)
		}
	}
	// Of a command, less time is more speed.
	r.Rows[0].Median, r.Rows[2].Median = Figures{WallSeconds: 40}, Figures{WallSeconds: 30}
	r.compare()
	if got := r.Rows[0].SpeedOfZRAM; got < 0.749 || got > 0.751 {
		t.Errorf("%v", got)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	noErr(t, example().WriteText(&b))
	const file = "testdata/text"
	if *rewrite {
		noErr(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	noErr(t, err)
	if b.String() != string(want) {
		t.Errorf("%s\nis not the text (-rewrite):\n%s", file, b.String())
	}
}

// A command has no touches, and one round no spread.
func TestTextOfACommand(t *testing.T) {
	r := &Result{Settings: Settings{Args: []string{"make", "test"}, Rounds: 1}, Rows: []Row{{System: ours, name: ours, Runs: []Figures{{WallSeconds: 3, CommandUserSeconds: 2}}}}}
	r.Rows[0].sumUp()
	var b strings.Builder
	noErr(t, r.WriteText(&b))
	if text := b.String(); !strings.Contains(text, "\nmake test; in ") || !strings.Contains(text, "one round") || strings.Contains(text, "–") || strings.Contains(text, "touches") || strings.Contains(text, "fault") {
		t.Error(text)
	}
}

// The contract: these fields, in this version, for ever.
func TestJSONContract(t *testing.T) {
	var b strings.Builder
	noErr(t, example().WriteJSON(&b))
	var got map[string]any
	noErr(t, json.Unmarshal([]byte(b.String()), &got))
	row := got["rows"].([]any)[0].(map[string]any)
	got["row"], got["run"] = row, row["runs"].([]any)[0]
	paths := strings.Fields(`version machine.kernel machine.cpu machine.page_cluster noise.busy noise.stolen
		settings.args settings.workload settings.memory_bytes settings.size_bytes settings.duration_seconds settings.swap_bytes
		settings.rounds settings.compressor settings.seed
		row.system row.latency_hold row.default row.oom_killed row.speed_of_zram`)
	for _, of := range []string{"row.median.", "row.min.", "row.max.", "run."} {
		for name := range strings.FieldsSeq(`wall_seconds touches_per_second fault_p50_ns fault_p90_ns fault_p99_ns fill_seconds major_faults
			swapped_bytes memory_bytes peak_memory_bytes ratio daemon_memory_bytes command_user_seconds command_system_seconds daemon_user_seconds
			daemon_system_seconds rest_user_seconds rest_system_seconds stolen_share`) {
			paths = append(paths, of+name)
		}
	}
	for _, path := range paths {
		var at any = got
		for key := range strings.SplitSeq(path, ".") {
			m, ok := at.(map[string]any)
			if at = m[key]; !ok || at == nil {
				t.Errorf("%s is not there", path)
				break
			}
		}
	}
}

func TestGoBench(t *testing.T) {
	var b strings.Builder
	noErr(t, example().WriteGoBench(&b))
	line := regexp.MustCompile(`^Benchmark\S+\t1\t\d+ ns/op(\t[\d.e+-]+ \S+)*$`)
	n := 0
	for text := range strings.Lines(b.String()) {
		if text = strings.TrimSuffix(text, "\n"); strings.HasPrefix(text, "Benchmark") {
			n++
			if !line.MatchString(text) {
				t.Errorf("%q", text)
			}
		}
	}
	want := "BenchmarkSwap/workload=random/memory=256MiB/system=zswapd/hold=auto\t1\t12500000000 ns/op\t60000 touches/s\t16666.7 fault-p50-ns"
	if n != 7 || !strings.Contains(b.String(), want) || !strings.HasPrefix(b.String(), "goos: linux\n") {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}

// The page has each system, with the figures that there are.
func TestHTML(t *testing.T) {
	r := &Result{Rows: []Row{
		{name: "zswapd", OOMKilled: 2, Median: Figures{TouchesPerSecond: 75_139, FaultP50Ns: 17_400, WallSeconds: 12.5, SwappedBytes: 300 << 20, MemoryBytes: 100 << 20, DaemonUserSeconds: 3, DaemonSystemSeconds: 1.5}},
		{name: "no limit", Median: Figures{TouchesPerSecond: 900_000, WallSeconds: 10}},
	}}
	for i := range r.Rows {
		r.Rows[i].Max = r.Rows[i].Median
	}
	var b strings.Builder
	if err := r.WriteHTML(&b, []string{"zswapd", "bench", "swap", "<x>"}); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"the command":            "zswapd bench swap &lt;x&gt;",
		"a median":               `<th scope="row">zswapd</th><td>17.4 µs</td><td>–</td><td>–</td>`,
		"what there is not":      `<th scope="row">no limit</th><td>–</td><td>–</td>`,
		"memory":                 `<th scope="row">zswapd</th><td>300 MiB</td><td>100 MiB</td>`,
		"CPU time of the daemon": `<td>4.50 s</td>`,
		"runs that do not count": "2 runs were ended by the OOM killer",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is not there: %s", what, want)
		}
	}
}
