package chart

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

// Page is what is written.
type Page struct {
	Title    string
	Intro    string // a sentence or two: what this is
	Facts    []Fact // such as the machine and the command
	Sections []Section
}

// Fact is a line under the title.
type Fact struct{ Name, Value string }

// Section is some charts with something in common.
type Section struct {
	Title  string
	Text   string // may be empty
	Charts []Chart
}

// Chart is Bars, Scatter or Lines.
type Chart interface {
	head() (title, note string)
	legend() []key
	draw(width float64) *drawing
	table() table
}

// Widths of the two pictures in CSS pixels, at which their text has its size.
const (
	wide   = 860
	narrow = 350
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	v := view{Title: clean(p.Title), Intro: clean(p.Intro)}
	for _, f := range p.Facts {
		v.Facts = append(v.Facts, Fact{clean(f.Name), clean(f.Value)})
	}
	n := 0
	for _, s := range p.Sections {
		sv := sectionView{Title: clean(s.Title), Text: clean(s.Text)}
		for _, c := range s.Charts {
			n++
			sv.Figures = append(sv.Figures, viewOf(c, n))
		}
		v.Sections = append(v.Sections, sv)
	}
	if err := pageTemplate.Execute(w, v); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return nil
}

// The template's data.
type view struct {
	Title, Intro string
	Facts        []Fact
	Sections     []sectionView
}

type sectionView struct {
	Title, Text string
	Figures     []figureView
}

type figureView struct {
	ID, Title, Note string
	Legend          []key
	Pictures        []*drawing
	Table           table
}

func viewOf(c Chart, number int) figureView {
	title, note := c.head()
	f := figureView{ID: fmt.Sprintf("figure-%d", number), Title: clean(title), Note: clean(note), Legend: c.legend(), Table: c.table()}
	for _, width := range []float64{wide, narrow} {
		d := c.draw(width)
		d.Class, d.ID = "wide", f.ID+"w"
		if width == narrow {
			d.Class, d.ID = "narrow", f.ID+"n"
		}
		f.Pictures = append(f.Pictures, d)
	}
	return f
}

// key is an entry of a legend: a swatch and a name.
type key struct {
	Name   string
	Swatch *drawing
}

// table is the figures of a chart.
type table struct {
	Head []string
	Rows [][]string // the first cell names the row
}

// Long reports whether the table is folded up at first.
func (t table) Long() bool { return len(t.Rows) > 12 }
