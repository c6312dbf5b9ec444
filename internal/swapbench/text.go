package swapbench

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/zswapd/zswapd/internal/report"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	fmt.Fprintf(&b, "CPUs %.0f %% busy meanwhile, %.0f %% taken by other machines\n", 100*r.Noise.Busy, 100*r.Noise.Stolen)
	s := &r.Settings
	what := fmt.Sprintf("%s, %s for %g s, each page compared at the end", s.Workload, report.Bytes(s.SizeBytes), s.DurationSeconds)
	if len(s.Args) > 0 {
		what = strings.Join(s.Args, " ")
	}
	fmt.Fprintf(&b, "%s; in %s, swap of %s; rounds %d: medians, and the least and the most below\n\n", what, report.Bytes(s.MemoryBytes), report.Bytes(s.SwapBytes), s.Rounds)
	for _, columns := range [][]column{speedColumns, memoryColumns, cpuColumns} {
		r.writeTable(&b, columns)
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.OOMKilled > 0 {
			fmt.Fprintf(&b, "%s: the OOM killer ended %d runs, which are not counted; %d are\n", row.name, row.OOMKilled, len(row.Runs))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// column is a figure and how to write it.
type column struct {
	head, unit string
	of         func(f *Figures) float64
	text       func(v float64) string
}

var (
	speedColumns = []column{
		{"wall", "s", func(f *Figures) float64 { return f.WallSeconds }, decimals(1)},
		{"touches", "1/s", func(f *Figures) float64 { return f.TouchesPerSecond }, count},
		{"fault p50", "µs", func(f *Figures) float64 { return f.FaultP50Ns / 1e3 }, decimals(1)},
		{"p90", "µs", func(f *Figures) float64 { return f.FaultP90Ns / 1e3 }, decimals(1)},
		{"p99", "µs", func(f *Figures) float64 { return f.FaultP99Ns / 1e3 }, decimals(1)},
		{"major faults", "", func(f *Figures) float64 { return f.MajorFaults }, count},
	}
	memoryColumns = []column{
		{"swapped out", "MiB", func(f *Figures) float64 { return f.SwappedBytes / (1 << 20) }, decimals(1)},
		{"memory for it", "MiB", func(f *Figures) float64 { return f.MemoryBytes / (1 << 20) }, decimals(1)},
		{"ratio", "", func(f *Figures) float64 { return f.Ratio }, decimals(2)},
		{"memory at most", "MiB", func(f *Figures) float64 { return f.PeakMemoryBytes / (1 << 20) }, decimals(1)},
	}
	cpuColumns = []column{
		{"CPU: command", "user s", func(f *Figures) float64 { return f.CommandUserSeconds }, decimals(1)},
		{"", "system s", func(f *Figures) float64 { return f.CommandSystemSeconds }, decimals(1)},
		{"daemon", "user s", func(f *Figures) float64 { return f.DaemonUserSeconds }, decimals(1)},
		{"", "system s", func(f *Figures) float64 { return f.DaemonSystemSeconds }, decimals(1)},
		{"the rest", "user s", func(f *Figures) float64 { return f.RestUserSeconds }, decimals(1)},
		{"", "system s", func(f *Figures) float64 { return f.RestSystemSeconds }, decimals(1)},
	}
)

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

func count(v float64) string { return report.Count(int64(v + 0.5)) }

// writeTable writes the columns that hold something, two lines a row.
func (r *Result) writeTable(b *strings.Builder, columns []column) {
	lines := [][]string{{"system"}, {""}}
	zram := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if zram == "" && (system{name: row.System}).isZRAM() && row.SpeedOfZRAM > 0 {
			zram = row.System
		}
		lines = append(lines, []string{row.name}, []string{""})
	}
	for n, c := range columns {
		if !r.has(c) {
			continue
		}
		lines[0], lines[1] = append(lines[0], c.head), append(lines[1], c.unit)
		for i := range r.Rows {
			median, spread := r.Rows[i].cells(c)
			lines[2*i+2], lines[2*i+3] = append(lines[2*i+2], median), append(lines[2*i+3], spread)
		}
		if n == 0 && zram != "" && &columns[0] == &speedColumns[0] {
			lines[0], lines[1] = append(lines[0], "speed of"), append(lines[1], zram)
			for i := range r.Rows {
				lines[2*i+2], lines[2*i+3] = append(lines[2*i+2], share(r.Rows[i].SpeedOfZRAM)), append(lines[2*i+3], "")
			}
		}
	}
	if len(lines[0]) > 1 {
		writeLines(b, lines)
		b.WriteByte('\n')
	}
}

func share(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

func (r *Result) has(c column) bool {
	for i := range r.Rows {
		if c.of(&r.Rows[i].Max) != 0 {
			return true
		}
	}
	return false
}

// cells returns a figure's median and its spread. One that there is not is a dash.
func (r *Row) cells(c column) (median, spread string) {
	if len(r.Runs) == 0 || c.of(&r.Max) == 0 {
		return "-", ""
	}
	return c.text(c.of(&r.Median)), c.text(c.of(&r.Min)) + "–" + c.text(c.of(&r.Max))
}

// writeLines lines cells up: the first column to the left, the others to the right.
func writeLines(b *strings.Builder, lines [][]string) {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		text := ""
		for i, cell := range line {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text += "  " + cell + space
			} else {
				text += "  " + space + cell
			}
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}
