package chart

import (
	"fmt"
	"slices"
)

// Scatter is points with labels. Points of one group look alike.
type Scatter struct {
	Title, Note string
	X, Y        Axis
	Points      []Point
}

// Point is a labelled point.
type Point struct {
	Label string
	Group string // may be empty
	X, Y  float64
}

func (s Scatter) head() (title, note string) { return s.Title, s.Note }

// groups returns the names in the order in which they come first.
func (s Scatter) groups() (names []string) {
	for _, p := range s.Points {
		if !slices.Contains(names, p.Group) {
			names = append(names, p.Group)
		}
	}
	return names
}

func (s Scatter) legend() (keys []key) {
	names := s.groups()
	if len(names) < 2 {
		return nil
	}
	for i, name := range names {
		keys = append(keys, key{clean(name), swatch(func(d *drawing) { d.mark(i, 12, 6, "") })})
	}
	return keys
}

func (s Scatter) table() (t table) {
	grouped := len(s.groups()) > 1
	t.Head = []string{""}
	if grouped {
		t.Head = append(t.Head, "")
	}
	t.Head = append(t.Head, clean(s.X.Label), clean(s.Y.Label))
	for _, p := range s.Points {
		row := []string{clean(p.Label)}
		if grouped {
			row = append(row, clean(p.Group))
		}
		t.Rows = append(t.Rows, append(row, s.X.Unit.String(p.X), s.Y.Unit.String(p.Y)))
	}
	return t
}

func (s Scatter) shows(p Point) bool { return s.X.shows(p.X) && s.Y.shows(p.Y) }

func (s Scatter) draw(width float64) *drawing {
	var xs, ys []float64
	for _, p := range s.Points {
		if s.shows(p) {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	f := newFrame(width, s.X, s.Y, xs, ys, ends{nearZero(xs), true}, ends{nearZero(ys), true})
	groups := s.groups()
	var dots []dot
	for _, p := range s.Points {
		if s.shows(p) {
			dots = append(dots, dot{x: f.x.at(p.X), y: f.y.at(p.Y), label: clean(p.Label)})
		}
	}
	area := box{f.x.from, f.y.to - gap, f.x.to + 18, f.y.from}
	left := 0
	for _, l := range place(dots, area, width*0.35) {
		if !l.shown {
			left++
			continue
		}
		if l.far {
			f.line("leader", l.dot.x, l.dot.y, l.lineX, l.lineY)
		}
		f.text("", l.box.x1, l.box.y2-4, start, l.text, l.dot.label)
	}
	for _, p := range s.Points {
		if s.shows(p) {
			title := fmt.Sprintf("%s: %s, %s", clean(p.Label), s.X.Unit.String(p.X), s.Y.Unit.String(p.Y))
			f.mark(slices.Index(groups, p.Group), f.x.at(p.X), f.y.at(p.Y), title)
		}
	}
	f.About = fmt.Sprintf("%d points, %s over %s", len(dots), clean(s.Y.Label), clean(s.X.Label))
	if left > 0 {
		f.About += fmt.Sprintf("; %d labels had no room", left)
	}
	return f.drawing
}

// nearZero reports whether an axis should begin at zero: the values are as far from it as from each other.
func nearZero(values []float64) bool {
	return len(values) == 0 || slices.Min(values) < slices.Max(values)/2
}
