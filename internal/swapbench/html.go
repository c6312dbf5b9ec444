package swapbench

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/zswapd/zswapd/internal/chart"
)

// WriteHTML writes a page with charts. command is what made it.
func (r *Result) WriteHTML(w io.Writer, command []string) error {
	p := chart.Page{
		Title: "zswapd bench swap",
		Intro: r.Settings.String(),
		Facts: []chart.Fact{
			{Name: "Command", Value: strings.Join(command, " ")},
			{Name: "Machine", Value: r.Machine.String()},
			{Name: "Meanwhile", Value: fmt.Sprintf("%.0f %% of the CPUs busy, %.0f %% taken by other machines", 100*r.Noise.Busy, 100*r.Noise.Stolen)},
		},
		Sections: []chart.Section{r.speed(), r.memory(), r.cpu()},
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.OOMKilled > 0 {
			p.Facts = append(p.Facts, chart.Fact{Name: row.name, Value: fmt.Sprintf("%d runs were ended by the OOM killer and do not count", row.OOMKilled)})
		}
	}
	return p.Write(w)
}

// bars has a group for each system, and a series for each figure. What there is not is missing.
func (r *Result) bars(title, note string, unit chart.Unit, series map[string]func(f *Figures) float64, order ...string) chart.Bars {
	b := chart.Bars{Title: title, Note: note, Unit: unit}
	for i := range r.Rows {
		b.Groups = append(b.Groups, r.Rows[i].name)
	}
	for _, name := range order {
		s := chart.BarSeries{Name: name}
		for i := range r.Rows {
			v := series[name](&r.Rows[i].Median)
			if v == 0 && series[name](&r.Rows[i].Max) == 0 {
				v = math.NaN()
			}
			s.Values = append(s.Values, v)
		}
		b.Series = append(b.Series, s)
	}
	return b
}

type byName = map[string]func(f *Figures) float64

func (r *Result) speed() chart.Section {
	s := chart.Section{Title: "Speed", Text: "Medians over the rounds."}
	if r.has(column{of: func(f *Figures) float64 { return f.TouchesPerSecond }, text: count}) {
		s.Charts = append(s.Charts,
			r.bars("Touches a second", "longer is better", chart.Number, byName{"touches a second": func(f *Figures) float64 { return f.TouchesPerSecond }}, "touches a second"),
			r.bars("A touch that waited for swap", "shorter is better", chart.Nanoseconds, byName{
				"median": func(f *Figures) float64 { return f.FaultP50Ns }, "90 %": func(f *Figures) float64 { return f.FaultP90Ns },
				"99 %": func(f *Figures) float64 { return f.FaultP99Ns },
			}, "median", "90 %", "99 %"))
	}
	s.Charts = append(s.Charts, r.bars("Wall time", "shorter is better", chart.Seconds, byName{"wall time": func(f *Figures) float64 { return f.WallSeconds }}, "wall time"))
	return s
}

func (r *Result) memory() chart.Section {
	return chart.Section{Title: "Memory", Text: "All that a device takes is counted: compressed bytes, tables, handles, slack. Our process takes some more beside its pool.", Charts: []chart.Chart{
		r.bars("When the most was swapped out", "", chart.Bytes, byName{
			"swapped out": func(f *Figures) float64 { return f.SwappedBytes }, "memory for it": func(f *Figures) float64 { return f.MemoryBytes },
		}, "swapped out", "memory for it"),
	}}
}

func (r *Result) cpu() chart.Section {
	return chart.Section{Title: "Where the CPUs' seconds went", Text: "The rest is everybody else's: the kernel's threads, which work for swap too, and whatever the machine did beside.", Charts: []chart.Chart{
		r.bars("CPU time", "shorter is better", chart.Seconds, byName{
			"command": func(f *Figures) float64 { return f.CommandUserSeconds + f.CommandSystemSeconds },
			"daemon":  func(f *Figures) float64 { return f.DaemonUserSeconds + f.DaemonSystemSeconds },
			"rest":    func(f *Figures) float64 { return f.RestUserSeconds + f.RestSystemSeconds },
		}, "command", "daemon", "rest"),
	}}
}
