package replay

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// WriteText writes the form for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	t := &r.Trace
	fmt.Fprintf(&b, "\n%s, recorded %s: %s pages out, %s in, %s freed in %.1f s\n", words(t.Command),
		t.Began.Format("2006-01-02 15:04"), report.Count(t.Stored), report.Count(t.Loaded), report.Count(t.Invalidated), t.Seconds)
	for _, note := range t.Notes() {
		fmt.Fprintf(&b, "  %s\n", note)
	}
	r.table(&b)
	fmt.Fprintf(&b, "\n  speed %s, threads %d; %s; %.0f %% of the CPUs busy, %.0f %% stolen\n", r.Speed, r.Threads, r.Machine, 100*r.Noise.Busy, 100*r.Noise.Stolen)
	_, err := io.WriteString(w, b.String())
	return err
}

// words joins a command's. The file may be anybody's: what is no letter, such as what a terminal obeys, is written as in Go.
func words(command []string) string {
	list := slices.Clone(command)
	for i, w := range list {
		if q := strconv.Quote(w); q != `"`+w+`"` {
			list[i] = q
		}
	}
	return strings.Join(list, " ")
}

// table writes the figures, a column for each system.
func (r *Report) table(b *strings.Builder) {
	lines := [][]string{{""}}
	for i := range r.Systems {
		lines[0] = append(lines[0], r.Systems[i].Name)
	}
	for _, f := range r.figures() {
		line := []string{f.name}
		for i := range r.Systems {
			line = append(line, f.text(&r.Systems[i]))
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(r.Systems)+1)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	b.WriteString("\n")
	for _, line := range lines {
		fmt.Fprintf(b, "  %-*s", widths[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(b, "   %*s", widths[i+1], cell)
		}
		b.WriteString("\n")
	}
}

// Notes are what a reader of the figures must know about the trace.
func (t *Trace) Notes() (notes []string) {
	if !t.Pages {
		notes = append(notes, "The trace has no pages: generated ones that "+t.Compressor+" makes as small stand for them.")
	}
	if t.LostEvents > 0 {
		notes = append(notes, fmt.Sprintf("The trace lacks %s calls with %s pages: its recorder was too slow for them.", report.Count(t.LostEvents), report.Count(t.LostPages)))
	}
	if t.Refused > 0 {
		notes = append(notes, fmt.Sprintf("%s pages were refused when it was recorded, and are not in it.", report.Count(t.Refused)))
	}
	if t.Problem != "" {
		notes = append(notes, "Replayed up to where it ends: "+t.Problem+".")
	}
	return notes
}

// figure is one line of the table.
type figure struct {
	name string
	text func(s *System) string
}

func (r *Report) figures() []figure {
	d := func(get func(s *System) int64) func(*System) string {
		return func(s *System) string { return report.Duration(get(s)) }
	}
	list := []figure{
		{"a page out, mean", d(func(s *System) int64 { return int64(s.Store.Mean) })},
		{"  median", d(func(s *System) int64 { return s.Store.P50 })},
		{"  99 % within", d(func(s *System) int64 { return s.Store.P99 })},
		{"a page in, mean", d(func(s *System) int64 { return int64(s.Load.Mean) })},
		{"  median", d(func(s *System) int64 { return s.Load.P50 })},
		{"  99 % within", d(func(s *System) int64 { return s.Load.P99 })},
		{"pages over all memory, at the peak", func(s *System) string { return fmt.Sprintf("%.2f", s.Ratio) }},
		{"  stored then", func(s *System) string { return report.Bytes(s.Peak.StoredPages * zpool.PageSize) }},
		{"memory, at most", func(s *System) string { return report.Bytes(s.PeakBytes) }},
		{"pages refused", func(s *System) string { return report.Count(s.Refused) }},
		{"pages that came back wrong", func(s *System) string { return report.Count(s.Wrong) }},
	}
	if r.Speed != "max" {
		list = append(list, figure{"behind the trace, at most", func(s *System) string { return report.Duration(int64(s.LateSeconds * 1e9)) }})
	}
	return list
}
