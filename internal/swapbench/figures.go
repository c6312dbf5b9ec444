package swapbench

import (
	"slices"

	"github.com/zswapd/zswapd/internal/report"
)

// figures are all of Figures, with their unit in Go benchmarks; "" for none there.
var figures = []struct {
	unit string
	of   func(f *Figures) *float64
}{
	{"touches/s", func(f *Figures) *float64 { return &f.TouchesPerSecond }},
	{"fault-p50-ns", func(f *Figures) *float64 { return &f.FaultP50Ns }},
	{"fault-p90-ns", func(f *Figures) *float64 { return &f.FaultP90Ns }},
	{"fault-p99-ns", func(f *Figures) *float64 { return &f.FaultP99Ns }},
	{"fill-s", func(f *Figures) *float64 { return &f.FillSeconds }},
	{"major-faults", func(f *Figures) *float64 { return &f.MajorFaults }},
	{"swapped-B", func(f *Figures) *float64 { return &f.SwappedBytes }},
	{"memory-B", func(f *Figures) *float64 { return &f.MemoryBytes }},
	{"peak-memory-B", func(f *Figures) *float64 { return &f.PeakMemoryBytes }},
	{"daemon-memory-B", func(f *Figures) *float64 { return &f.DaemonMemoryBytes }},
	{"ratio", func(f *Figures) *float64 { return &f.Ratio }},
	{"command-user-s", func(f *Figures) *float64 { return &f.CommandUserSeconds }},
	{"command-system-s", func(f *Figures) *float64 { return &f.CommandSystemSeconds }},
	{"daemon-user-s", func(f *Figures) *float64 { return &f.DaemonUserSeconds }},
	{"daemon-system-s", func(f *Figures) *float64 { return &f.DaemonSystemSeconds }},
	{"rest-user-s", func(f *Figures) *float64 { return &f.RestUserSeconds }},
	{"rest-system-s", func(f *Figures) *float64 { return &f.RestSystemSeconds }},
	{"", func(f *Figures) *float64 { return &f.StolenShare }},
	{"", func(f *Figures) *float64 { return &f.WallSeconds }}, // ns/op
}

// figuresOf reads the figures off the report of a run.
func figuresOf(r *report.Report) Figures {
	c, d, m, s := &r.Command, &r.Daemon, &r.Machine, &r.Swap
	f := Figures{
		WallSeconds: c.WallSeconds, MajorFaults: float64(c.MajorFaults),
		SwappedBytes: float64(s.PeakUsedBytes), MemoryBytes: float64(s.MemoryAtPeakBytes), PeakMemoryBytes: float64(s.PeakMemoryBytes),
		CommandUserSeconds: c.UserSeconds, CommandSystemSeconds: c.SystemSeconds,
		DaemonUserSeconds: d.UserSeconds, DaemonSystemSeconds: d.SystemSeconds,
		RestUserSeconds:   max(0, m.UserSeconds-c.UserSeconds-d.UserSeconds),
		RestSystemSeconds: max(0, m.SystemSeconds-c.SystemSeconds-d.SystemSeconds),
		StolenShare:       m.Stolen,
	}
	if f.MemoryBytes > 0 {
		f.Ratio = f.SwappedBytes / f.MemoryBytes
	}
	if r.Pool.Codec != "" { // it is ours
		f.DaemonMemoryBytes = float64(d.OwnBytes)
	}
	if w := r.Workload; w != nil {
		f.TouchesPerSecond, f.FillSeconds = w.TouchesPerSecond, w.FillSeconds
		f.FaultP50Ns, f.FaultP90Ns, f.FaultP99Ns = float64(w.Fault.P50), float64(w.Fault.P90), float64(w.Fault.P99)
	}
	return f
}

// sumUp fills in median and spread of the runs.
func (r *Row) sumUp() {
	if len(r.Runs) == 0 {
		return
	}
	for _, f := range figures {
		var all []float64
		for i := range r.Runs {
			all = append(all, *f.of(&r.Runs[i]))
		}
		slices.Sort(all)
		n := len(all)
		*f.of(&r.Median), *f.of(&r.Min), *f.of(&r.Max) = (all[(n-1)/2]+all[n/2])/2, all[0], all[n-1]
	}
}

// speed is what is compared: more is better.
func (r *Row) speed() float64 {
	m := &r.Median
	if m.TouchesPerSecond > 0 {
		return m.TouchesPerSecond
	}
	if m.WallSeconds > 0 {
		return 1 / m.WallSeconds
	}
	return 0
}

// compare relates each row to the first zram with the same hold.
func (r *Result) compare() {
	for i := range r.Rows {
		row := &r.Rows[i]
		for j := range r.Rows {
			if z := &r.Rows[j]; (system{name: z.System}).isZRAM() && z.LatencyHold == row.LatencyHold && z.speed() > 0 {
				row.SpeedOfZRAM = row.speed() / z.speed()
				break
			}
		}
	}
}
