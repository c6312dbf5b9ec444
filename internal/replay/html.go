package replay

import (
	"fmt"
	"io"
	"strings"

	"github.com/zswapd/zswapd/internal/chart"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// WriteHTML writes a page with charts. command is what made it.
func (r *Report) WriteHTML(w io.Writer, command []string) error {
	t := &r.Trace
	p := chart.Page{
		Title: "Replay of " + strings.Join(t.Command, " "),
		Intro: fmt.Sprintf("%s pages went out, %s came in and %s were freed in %.1f s of swapping, recorded %s. The same was done here to each system, at speed %s, threads %d; every page that came back was compared.",
			report.Count(t.Stored), report.Count(t.Loaded), report.Count(t.Invalidated), t.Seconds, t.Began.Format("2006-01-02 15:04"), r.Speed, r.Threads),
		Facts: []chart.Fact{
			{Name: "Command", Value: strings.Join(command, " ")},
			{Name: "Machine", Value: r.Machine.String()},
			{Name: "Meanwhile", Value: fmt.Sprintf("%.0f %% of the CPUs busy, %.0f %% stolen", 100*r.Noise.Busy, 100*r.Noise.Stolen)},
		},
	}
	for _, note := range t.Notes() {
		p.Facts = append(p.Facts, chart.Fact{Name: "Note", Value: note})
	}
	for i := range r.Systems {
		if s := &r.Systems[i]; s.Refused > 0 || s.Wrong > 0 {
			p.Facts = append(p.Facts, chart.Fact{Name: s.Name, Value: fmt.Sprintf("%s pages refused, %s came back wrong", report.Count(s.Refused), report.Count(s.Wrong))})
		}
	}
	p.Sections = []chart.Section{r.densitySection(), r.timeSection()}
	return p.Write(w)
}

func (r *Report) densitySection() chart.Section {
	ratio, peak := chart.BarSeries{Name: "pages over all memory"}, chart.BarSeries{Name: "memory"}
	memory := chart.Lines{
		Title: "Memory over the time of the trace", X: chart.Axis{Label: "time", Unit: chart.Seconds},
		Y: chart.Axis{Label: "bytes", Unit: chart.Bytes}, Step: true,
	}
	for i := range r.Systems {
		s := &r.Systems[i]
		ratio.Values, peak.Values = append(ratio.Values, s.Ratio), append(peak.Values, float64(s.PeakBytes))
		line, stored := chart.Line{Name: s.Name}, chart.Line{Name: "pages, not compressed"}
		for _, m := range s.Samples {
			line.Points = append(line.Points, chart.XY{X: m.At, Y: float64(m.Memory.MemoryBytes)})
			stored.Points = append(stored.Points, chart.XY{X: m.At, Y: float64(m.Memory.StoredPages * zpool.PageSize)})
		}
		memory.Series = append(memory.Series, line)
		if i == len(r.Systems)-1 {
			memory.Series = append(memory.Series, stored)
		}
	}
	return chart.Section{
		Title: "Memory", Text: "All that a system takes is counted: compressed bytes, tables, handles, slack.",
		Charts: []chart.Chart{
			chart.Bars{Title: "Pages over all memory, when the most pages were stored", Note: "longer is better", Groups: r.names(), Series: []chart.BarSeries{ratio}},
			chart.Bars{Title: "Memory, at most", Note: "shorter is better", Unit: chart.Bytes, Groups: r.names(), Series: []chart.BarSeries{peak}},
			memory,
		},
	}
}

func (r *Report) timeSection() chart.Section {
	out, in := chart.BarSeries{Name: "out"}, chart.BarSeries{Name: "in"}
	against := chart.Scatter{
		Title: "Memory against time", Note: "up and to the left is better",
		X: chart.Axis{Label: "a page out and a page in, medians", Unit: chart.Nanoseconds}, Y: chart.Axis{Label: "pages over all memory"},
	}
	curves := [2]chart.Lines{{Title: "A page out"}, {Title: "A page in"}}
	for i := range curves {
		c := &curves[i]
		c.Note = "to the left is better"
		c.X = chart.Axis{Label: "time of a page", Unit: chart.Nanoseconds, Log: true}
		c.Y = chart.Axis{Label: "pages within that time", Unit: chart.Percent, Nines: true}
		c.Marks = []float64{50, 90, 99, 99.9, 100}
	}
	for i := range r.Systems {
		s := &r.Systems[i]
		out.Values, in.Values = append(out.Values, float64(s.Store.P50)), append(in.Values, float64(s.Load.P50))
		kind, _, _ := strings.Cut(s.Name, ":")
		against.Points = append(against.Points, chart.Point{Label: s.Name, Group: kind, X: float64(s.Store.P50 + s.Load.P50), Y: s.Ratio})
		for j, curve := range s.curves {
			line := chart.Line{Name: s.Name}
			for _, b := range curve {
				line.Points = append(line.Points, chart.XY{X: b.ns, Y: b.percent})
			}
			curves[j].Series = append(curves[j].Series, line)
		}
	}
	return chart.Section{
		Title: "Time", Text: "In the pool, or in the system calls on zram: without the page fault and the swap device.",
		Charts: []chart.Chart{
			chart.Bars{Title: "A page, median", Note: "shorter is better", Unit: chart.Nanoseconds, Groups: r.names(), Series: []chart.BarSeries{out, in}},
			curves[0], curves[1], against,
		},
	}
}

func (r *Report) names() (list []string) {
	for i := range r.Systems {
		list = append(list, r.Systems[i].Name)
	}
	return list
}
