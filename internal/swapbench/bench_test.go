package swapbench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

// Each workload runs on each system in turn, and every figure that there should be is there.
func TestRun(t *testing.T) {
	needSwap(t)
	o, said := options(t, serve)
	o.Workload, o.Rounds, o.Hold, o.Against = "zipf", 2, HoldBoth, []string{none, "zram:lz4"}
	noErr(t, o.Complete())
	r, err := Run(t.Context(), o)
	noErr(t, err)
	var rows []string
	ofOurs := func(row *Row) float64 { return row.Median.DaemonUserSeconds + row.Median.DaemonSystemSeconds }
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.System == ours && ofOurs(row) <= 0.02 || row.System != ours && ofOurs(row) > ofOurs(&r.Rows[0])/2 { // the first is ours
			t.Errorf("%s: %.3f s of ours, %.3f when pages are swapped to us", row.name, ofOurs(row), ofOurs(&r.Rows[0]))
		}
		rows = append(rows, row.name)
		checkRow(t, row, o.Rounds)
		if (row.LatencyHold == HoldOn) != strings.HasSuffix(row.name, ", hold") || row.Default != (row.name == ours) {
			t.Errorf("%+v", row)
		}
	}
	if got := strings.Join(rows, "; "); got != "zswapd; none; zram:lz4; zswapd, hold; zram:lz4, hold" {
		t.Errorf("rows %s", got)
	}
	// The second round begins with the second system.
	if i := strings.Index(said.String(), "round 2"); !strings.HasPrefix(said.String()[i:], "round 2 of 2: none\n") {
		t.Errorf("said %s", said)
	}
	if r.Noise.Busy <= 0 || r.Machine.CPUs < 1 {
		t.Errorf("%+v, %+v", r.Noise, r.Machine)
	}
}

func TestFork(t *testing.T) {
	needSwap(t)
	o, _ := options(t, serve)
	o.Workload, o.Against = "fork", []string{}
	noErr(t, o.Complete())
	r, err := Run(t.Context(), o)
	noErr(t, err)
	checkRow(t, &r.Rows[0], 1)
}

func checkRow(t *testing.T, row *Row, rounds int) {
	t.Helper()
	m := &row.Median
	if len(row.Runs) != rounds || m.WallSeconds < 0.3 || m.TouchesPerSecond <= 0 || m.CommandUserSeconds <= 0 || m.CommandSystemSeconds <= 0 {
		t.Errorf("%s: %+v", row.name, row)
	}
	swaps := row.System != none
	if swaps != (m.MajorFaults > 100) || swaps != (m.FaultP50Ns > 0) || m.FaultP50Ns > m.FaultP90Ns || m.FaultP90Ns > m.FaultP99Ns {
		t.Errorf("%s: faults %+v", row.name, m)
	}
	if swaps != (m.SwappedBytes > 4<<20) || swaps != (m.MemoryBytes > 0) || swaps != (m.Ratio > 1.2 && m.Ratio < 20) || m.PeakMemoryBytes < m.MemoryBytes {
		t.Errorf("%s: memory %+v", row.name, m)
	}
	if (row.System == "zram:lz4") != (row.SpeedOfZRAM == 1) && row.SpeedOfZRAM <= 0 && row.name != none {
		t.Errorf("%s: %.2f of zram's speed", row.name, row.SpeedOfZRAM)
	}
}

func TestWrongPageIsAnError(t *testing.T) {
	needSwap(t)
	o, _ := options(t, wrong)
	noErr(t, o.Complete())
	r, err := Run(t.Context(), o)
	var failure *workload.Failure
	if r != nil || !errors.As(err, &failure) || failure.Page != 7 || !strings.Contains(err.Error(), "on zswapd: ") {
		t.Errorf("%+v, %v", r, err)
	}
}

// What the OOM killer ends is tried three times, and the next system has its turn all the same.
func TestKilledRunsAreCounted(t *testing.T) {
	needSwap(t)
	o, said := options(t, hog)
	o.Against = []string{"zram:lz4"}
	noErr(t, o.Complete())
	rows := []Row{{name: "zswapd"}, {name: "zram:lz4"}}
	measured, err := o.rounds(t.Context(), rows)
	if measured || rows[0].OOMKilled != tries || rows[1].OOMKilled != tries || strings.Count(said.String(), "killed for lack of memory") != 2*tries {
		t.Errorf("%t, %+v", measured, rows)
	}
	if err == nil || !strings.Contains(err.Error(), "on zswapd: killed 3 times") || !strings.Contains(err.Error(), "on zram:lz4: killed 3 times") {
		t.Error(err)
	}
}

func TestCommandThatFails(t *testing.T) {
	needSwap(t)
	o, _ := options(t, serve)
	o.Args, o.Against = []string{"sh", "-c", "exit 7"}, []string{}
	noErr(t, o.Complete())
	if r, err := Run(t.Context(), o); r != nil || err == nil || !strings.Contains(err.Error(), "on zswapd: sh -c exit 7 exited with 7") {
		t.Errorf("%+v, %v", r, err)
	}
	// In the second round there is something to tell.
	flag := t.TempDir() + "/flag"
	o, _ = options(t, serve)
	o.Args, o.Against, o.Rounds = []string{"sh", "-c", "test ! -e " + flag + " && touch " + flag}, []string{}, 2
	noErr(t, o.Complete())
	if r, err := Run(t.Context(), o); r == nil || len(r.Rows[0].Runs) != 1 || r.Rows[0].Median.WallSeconds <= 0 || err == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A second device would share the pages.
func TestOtherSwapIsRefused(t *testing.T) {
	needSwap(t)
	r, err := swapdev.NewRun(t.TempDir())
	noErr(t, err)
	f, err := r.CreateFile(t.Context(), ".", 1<<20)
	noErr(t, err)
	defer func() {
		noErr(t, f.SwapOff(context.Background(), swapdev.OffOptions{}))
		noErr(t, swapdev.RemoveFile(f.Path()))
		noErr(t, r.Close())
	}()
	noErr(t, f.SwapOn(0, false))
	o, _ := options(t, serve)
	noErr(t, o.Complete())
	if r, err := Run(t.Context(), o); r != nil || err == nil || !strings.Contains(err.Error(), f.Path()+" is on as swap") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCheck(t *testing.T) {
	lost := &workload.Failure{Page: 3}
	for name, c := range map[string]struct {
		change func(r *report.Report)
		err    error
		killed bool
		want   string // "": a measurement, or a run to be repeated
	}{
		"fine":                         {},
		"exit code":                    {change: func(r *report.Report) { r.Command.ExitCode = 2 }, want: "exited with 2"},
		"exit code of a killed one":    {change: func(r *report.Report) { r.Command.ExitCode = 137 }, killed: true},
		"no result of a killed one":    {err: workload.ErrNoResult, killed: true},
		"no result":                    {err: workload.ErrNoResult, want: "without a result"},
		"a wrong page of a killed one": {err: errors.Join(lost, workload.ErrNoResult), killed: true, want: "page 3"},
		"damage":                       {change: func(r *report.Report) { r.Errors.Corrupt = 1 }, want: "1 pages were damaged"},
		"a device that stays":          {err: errors.Join(workload.ErrNoResult, &run.Fault{Err: errors.New("busy")}), killed: true, want: "busy"},
		"an I/O error":                 {change: func(r *report.Report) { r.Errors.IO = 1 }, killed: true, want: "1 requests failed"},
	} {
		r := new(report.Report)
		if c.change != nil {
			c.change(r)
		}
		err := check(system{name: ours}, r, c.err, c.killed)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCompleteNamesEveryMistake(t *testing.T) {
	o, _ := options(t, serve)
	o.Workload, o.Rounds, o.PageCluster, o.Hold, o.Duration, o.Against = "tidal", 0, 32, "perhaps", 0, []string{"zram", "zram:", "disk", "none"}
	err := o.Complete()
	var usage run.UsageError
	for _, want := range []string{`--workload: "tidal"`, "--rounds 0", "--page-cluster 32", `--latency-hold "perhaps"`, "--duration 0s", `"zram"`, `"zram:"`, `"disk"`} {
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %s", err, want)
		}
	}
	if strings.Contains(err.Error(), `--against "none"`) {
		t.Error(err)
	}
	o, _ = options(t, serve)
	o.Size = 100
	if err := o.Complete(); err == nil || !strings.Contains(err.Error(), "100 bytes") {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		o, _ = options(t, serve)
		if err := o.Complete(); err == nil || !strings.Contains(err.Error(), "sudo") {
			t.Error(err)
		}
		return
	}
	for size, against := range map[int64][]string{1 << 41: {none}, 32 << 20: {"zram:no-such-codec"}} {
		o, _ = options(t, serve)
		o.Size, o.Against = size, against
		if err := o.Complete(); err == nil || errors.As(err, &usage) && !strings.Contains(err.Error(), "--") {
			t.Errorf("%v: %v", against, err)
		}
	}
}
