package swapbench

import (
	"fmt"
	"io"
	"strings"

	"github.com/zswapd/zswapd/internal/report"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	fmt.Fprintf(&b, "CPUs %.0f %% busy meanwhile, %.0f %% taken by other machines\n", 100*r.Noise.Busy, 100*r.Noise.Stolen)
	fmt.Fprintf(&b, "%s\n", &r.Settings)
	for _, columns := range [][]column{r.speedColumns(), memoryColumns, cpuColumns} {
		r.writeTable(&b, columns)
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.OOMKilled > 0 {
			fmt.Fprintf(&b, "\n%s: runs that the OOM killer ended, and that do not count: %d, beside %d that do\n", row.name, row.OOMKilled, len(row.Runs))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Settings) String() string {
	what := fmt.Sprintf("%s, %s for %g s, each page compared at the end", s.Workload, report.Bytes(s.SizeBytes), s.DurationSeconds)
	if len(s.Args) > 0 {
		what = strings.Join(s.Args, " ")
	}
	rounds := "one round"
	if s.Rounds > 1 {
		rounds = fmt.Sprintf("%d rounds: medians, and the least and the most below", s.Rounds)
	}
	return fmt.Sprintf("%s; in %s, with swap of %s; %s", what, report.Bytes(s.MemoryBytes), report.Bytes(s.SwapBytes), rounds)
}

// column is a figure and how to write it.
type column struct {
	head, unit string
	of         func(f *Figures) float64 // nil: SpeedOfZRAM
	text       func(v float64) string
}

var (
	memoryColumns = []column{
		{"swapped out", "MiB", func(f *Figures) float64 { return f.SwappedBytes / (1 << 20) }, decimals(1)},
		{"memory for it", "MiB", func(f *Figures) float64 { return f.MemoryBytes / (1 << 20) }, decimals(1)},
		{"ratio", "", func(f *Figures) float64 { return f.Ratio }, decimals(2)},
		{"memory at most", "MiB", func(f *Figures) float64 { return f.PeakMemoryBytes / (1 << 20) }, decimals(1)},
		{"daemon beside it", "MiB", func(f *Figures) float64 { return f.DaemonMemoryBytes / (1 << 20) }, decimals(1)},
	}
	cpuColumns = []column{
		{"command", "user s", func(f *Figures) float64 { return f.CommandUserSeconds }, decimals(1)},
		{"command", "system s", func(f *Figures) float64 { return f.CommandSystemSeconds }, decimals(1)},
		{"daemon", "user s", func(f *Figures) float64 { return f.DaemonUserSeconds }, decimals(1)},
		{"daemon", "system s", func(f *Figures) float64 { return f.DaemonSystemSeconds }, decimals(1)},
		{"the rest", "user s", func(f *Figures) float64 { return f.RestUserSeconds }, decimals(1)},
		{"the rest", "system s", func(f *Figures) float64 { return f.RestSystemSeconds }, decimals(1)},
	}
)

func (r *Result) speedColumns() []column {
	return []column{
		{"wall", "s", func(f *Figures) float64 { return f.WallSeconds }, decimals(1)},
		{"touches", "1/s", func(f *Figures) float64 { return f.TouchesPerSecond }, count},
		{"of " + r.zram(), "%", nil, func(v float64) string { return fmt.Sprintf("%.0f", 100*v) }},
		{"fault p50", "µs", func(f *Figures) float64 { return f.FaultP50Ns / 1e3 }, decimals(1)},
		{"p90", "µs", func(f *Figures) float64 { return f.FaultP90Ns / 1e3 }, decimals(1)},
		{"p99", "µs", func(f *Figures) float64 { return f.FaultP99Ns / 1e3 }, decimals(1)},
		{"major faults", "", func(f *Figures) float64 { return f.MajorFaults }, count},
	}
}

// zram returns the one that speeds are compared with, "" if there is none.
func (r *Result) zram() string {
	for i := range r.Rows {
		if s := (system{name: r.Rows[i].System}); s.isZRAM() {
			return s.name
		}
	}
	return ""
}

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

func count(v float64) string { return report.Count(int64(v + 0.5)) }

// writeTable writes the columns that hold something. A row has a second line if there is more than one run.
func (r *Result) writeTable(b *strings.Builder, columns []column) {
	var t table
	var heads, units []string
	shown := columns[:0:0]
	for _, c := range columns {
		if r.has(c) {
			shown, heads, units = append(shown, c), append(heads, c.head), append(units, c.unit)
		}
	}
	if len(shown) == 0 {
		return
	}
	t.add("system", heads)
	t.add("", units)
	for i := range r.Rows {
		row := &r.Rows[i]
		var medians, spreads []string
		for _, c := range shown {
			median, spread := row.cells(c)
			medians, spreads = append(medians, median), append(spreads, spread)
		}
		t.add(row.name, medians)
		if strings.Join(spreads, "") != "" {
			t.add("", spreads)
		}
	}
	b.WriteByte('\n')
	t.write(b)
}

func (r *Result) has(c column) bool {
	for i := range r.Rows {
		if median, _ := r.Rows[i].cells(c); median != "-" {
			return true
		}
	}
	return false
}

// cells returns a figure's median and, if there is one, its spread. A figure that there is not is a dash.
func (r *Row) cells(c column) (median, spread string) {
	switch {
	case c.of == nil && r.SpeedOfZRAM > 0:
		return c.text(r.SpeedOfZRAM), ""
	case c.of == nil || c.of(&r.Max) == 0:
		return "-", ""
	case len(r.Runs) > 1:
		spread = c.text(c.of(&r.Min)) + "–" + c.text(c.of(&r.Max))
	}
	return c.text(c.of(&r.Median)), spread
}
