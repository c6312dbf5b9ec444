package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/chart"
)

// WriteHTML writes a page with charts. command is what made it.
func (r *Result) WriteHTML(w io.Writer, command []string) error {
	p := chart.Page{
		Title: "zswapd bench pool",
		Intro: "The same pages in the pool and in what it is compared with, in turn. Every page that came back was compared with what was stored.",
		Facts: []chart.Fact{
			{Name: "Command", Value: strings.Join(command, " ")},
			{Name: "Machine", Value: r.Machine.String()},
			{Name: "Meanwhile", Value: fmt.Sprintf("%.0f %% of the CPUs busy, %.0f %% taken by other machines", 100*r.Noise.Busy, 100*r.Noise.Stolen)},
			{Name: "Rounds", Value: fmt.Sprintf("%d, of which medians are taken; zram gets %d pages a system call, which is its best", r.Settings.Rounds, r.Settings.ZRAMBatch)},
		},
	}
	if len(r.Comparisons) > 0 {
		p.Sections = append(p.Sections, r.comparison())
	}
	for rows := range r.corpora() {
		c := &rows[0]
		p.Facts = append(p.Facts, chart.Fact{Name: c.Corpus, Value: fmt.Sprintf("%d pages, %.1f %% same-filled, %.1f %% duplicates",
			c.Pages, 100*float64(c.SameFilledPages)/float64(c.Pages), 100*float64(c.DuplicatePages)/float64(c.Pages))})
	}
	p.Sections = append(p.Sections, r.bars())
	for rows := range r.corpora() {
		p.Sections = append(p.Sections, section(rows))
	}
	return p.Write(w)
}

// corpora goes through the rows of each corpus.
func (r *Result) corpora() func(yield func([]Row) bool) {
	return func(yield func([]Row) bool) {
		for rows := r.Rows; len(rows) > 0; {
			n := 1
			for n < len(rows) && rows[n].Corpus == rows[0].Corpus {
				n++
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}

// label names a row among those of its corpus.
func (w *Row) label(threads bool) string {
	name := w.System + " " + w.Codec
	if threads {
		name += fmt.Sprintf(" × %d", w.Threads)
	}
	return name
}

func severalThreads(rows []Row) bool {
	return slices.ContainsFunc(rows, func(w Row) bool { return w.Threads != rows[0].Threads })
}

// comparison is the geometric means.
func (r *Result) comparison() chart.Section {
	b := chart.Bars{Title: "zswapd over zram, geometric means", Note: "longer is better; 1 is zram"}
	series := [4]chart.BarSeries{{Name: "store rate"}, {Name: "restore rate"}, {Name: "load rate"}, {Name: "effective ratio"}}
	for _, c := range r.Comparisons {
		name := c.Codec + " over " + c.Against
		if c.Threads != r.Comparisons[0].Threads {
			name += fmt.Sprintf(" × %d", c.Threads)
		}
		b.Groups = append(b.Groups, name)
		for i, v := range []float64{c.StoreRate, c.RestoreRate, c.LoadRate, c.EffectiveRatio} {
			series[i].Values = append(series[i].Values, v)
		}
	}
	b.Series = series[:]
	return chart.Section{Title: "Side by side", Text: "Restore is a store over an older page. Effective ratio: pages over all memory that they take.", Charts: []chart.Chart{b}}
}

// bars has a group for each corpus and a series for each system.
func (r *Result) bars() chart.Section {
	var groups, names []string
	for rows := range r.corpora() {
		groups = append(groups, rows[0].Corpus)
	}
	threads := severalThreads(r.Rows)
	for i := range r.Rows {
		if name := r.Rows[i].label(threads); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	of := func(title, note string, unit chart.Unit, value func(*Row) float64) chart.Chart {
		b := chart.Bars{Title: title, Note: note, Unit: unit, Groups: groups}
		for _, name := range names {
			s := chart.BarSeries{Name: name}
			for rows := range r.corpora() {
				v := math.NaN() // not there
				for i := range rows {
					if rows[i].label(threads) == name {
						v = value(&rows[i])
					}
				}
				s.Values = append(s.Values, v)
			}
			b.Series = append(b.Series, s)
		}
		return b
	}
	return chart.Section{Title: "All corpora", Charts: []chart.Chart{
		of("Pages over all memory", "longer is better", chart.Number, func(w *Row) float64 { return w.EffectiveRatio }),
		of("Storing a page, the store growing", "shorter is better", chart.Nanoseconds, func(w *Row) float64 { return w.StoreNsPerPage }),
		of("Storing a page over an older one", "shorter is better", chart.Nanoseconds, func(w *Row) float64 { return w.RestoreNsPerPage }),
		of("Loading a page", "shorter is better", chart.Nanoseconds, func(w *Row) float64 { return w.LoadNsPerPage }),
	}}
}

// section is the charts of one corpus: ratio against cost, and how times are distributed.
func section(rows []Row) chart.Section {
	threads := severalThreads(rows)
	against := chart.Scatter{
		Title: "Memory against time", Note: "up and to the left is better",
		X: chart.Axis{Label: "a page stored and loaded", Unit: chart.Nanoseconds}, Y: chart.Axis{Label: "pages over all memory"},
	}
	curves := [ops]chart.Lines{}
	for o := range ops {
		curves[o] = chart.Lines{
			Title: map[op]string{store: "A page stored", load: "A page loaded", restore: "A page stored over an older one"}[o],
			Note:  "pages one by one, each timed by itself; to the left is better",
			X:     chart.Axis{Label: "time of a page", Unit: chart.Nanoseconds, Log: true},
			Y:     chart.Axis{Label: "pages within that time", Unit: chart.Percent, Nines: true},
			Marks: []float64{50, 90, 99, 99.9, 100},
		}
	}
	for i := range rows {
		w := &rows[i]
		against.Points = append(against.Points, chart.Point{Label: w.label(threads), Group: w.System, X: w.StoreNsPerPage + w.LoadNsPerPage, Y: w.EffectiveRatio})
		for op := range ops {
			if len(w.curves[op]) > 0 {
				curves[op].Series = append(curves[op].Series, chart.Line{Name: w.label(threads), Points: w.curves[op]})
			}
		}
	}
	return chart.Section{Title: rows[0].Corpus, Charts: []chart.Chart{against, curves[store], curves[restore], curves[load]}}
}
