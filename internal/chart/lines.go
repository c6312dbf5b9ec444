package chart

import (
	"fmt"
	"math"
	"strings"
)

// Lines are curves. The y axis begins at zero, if it is not logarithmic; the x axis where the curves do.
type Lines struct {
	Title, Note string
	X, Y        Axis
	Series      []Line

	// Step: a value holds until the next point.
	Step bool
	// Marks are values of y of which the table tells where the curves reach them. Without, it has values of y for some x.
	Marks []float64
}

// Line is a curve of points with rising X.
type Line struct {
	Name   string
	Points []XY
}

// XY is a point of a curve.
type XY struct{ X, Y float64 }

var missing = math.NaN()

func (l Lines) head() (title, note string) { return l.Title, l.Note }

func (l Lines) legend() (keys []key) {
	for i, s := range l.Series {
		keys = append(keys, key{clean(s.Name), swatch(func(d *drawing) { d.line(curveClass(i), 1, 6, 23, 6) })})
	}
	return keys
}

func (l Lines) shows(p XY) bool { return l.X.shows(p.X) && l.Y.shows(p.Y) }

func (l Lines) draw(width float64) *drawing {
	var xs, ys []float64
	for _, s := range l.Series {
		for _, p := range s.Points {
			if l.shows(p) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	f := newFrame(width, l.X, l.Y, xs, ys, ends{}, ends{zero: true, round: true})
	f.About = fmt.Sprintf("%d curves, %s over %s", len(l.Series), clean(l.Y.Label), clean(l.X.Label))
	for i, s := range l.Series {
		if path := l.path(f, s.Points); path != "" {
			f.Shapes = append(f.Shapes, shape{Class: curveClass(i), Path: path, Title: clean(s.Name)})
		}
	}
	return f.drawing
}

// path returns a curve. Points that fall on the same tenth of a pixel are left out.
func (l Lines) path(f *frame, points []XY) string {
	var b strings.Builder
	var last [2]number
	for _, p := range points {
		if !l.shows(p) {
			continue
		}
		at := [2]number{number(f.x.at(p.X)), number(f.y.at(p.Y))}
		switch {
		case b.Len() == 0:
			fmt.Fprintf(&b, "M%v %v", at[0], at[1])
		case at[0].String() == last[0].String() && at[1].String() == last[1].String():
			continue
		case l.Step:
			fmt.Fprintf(&b, "H%vV%v", at[0], at[1])
		default:
			fmt.Fprintf(&b, "L%v %v", at[0], at[1])
		}
		last = at
	}
	if b.Len() > 0 && !strings.ContainsAny(b.String(), "LHV") {
		fmt.Fprintf(&b, "h0.1") // one point: the round end of a line makes it a dot
	}
	return b.String()
}

func (l Lines) table() (t table) {
	if len(l.Series) == 0 {
		return t
	}
	if len(l.Marks) > 0 {
		return l.markTable()
	}
	t.Head = []string{clean(l.X.Label)}
	var xs []float64
	for _, s := range l.Series {
		t.Head = append(t.Head, clean(s.Name))
		for _, p := range s.Points {
			if l.shows(p) {
				xs = append(xs, p.X)
			}
		}
	}
	if len(xs) == 0 {
		return t
	}
	x := newScale(l.X, xs, ends{}, 0, 1000)
	for _, at := range x.ticks(90) {
		row := []string{l.X.Unit.tick(at)}
		for _, s := range l.Series {
			row = append(row, l.Y.Unit.String(l.valueAt(s.Points, at)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// valueAt returns y at x: that of the point before, or between it and the next; missing outside.
func (l Lines) valueAt(points []XY, x float64) float64 {
	var before *XY
	for i := range points {
		p := &points[i]
		switch {
		case !l.shows(*p):
			continue
		case p.X == x:
			return p.Y
		case p.X > x && before == nil:
			return missing
		case p.X > x && l.Step:
			return before.Y
		case p.X > x:
			return before.Y + (p.Y-before.Y)*(x-before.X)/(p.X-before.X)
		}
		before = p
	}
	return missing
}

func (l Lines) markTable() (t table) {
	t.Head = []string{clean(l.Y.Label)}
	for _, m := range l.Marks {
		t.Head = append(t.Head, l.Y.Unit.String(m))
	}
	for _, s := range l.Series {
		row := []string{clean(s.Name)}
		for _, m := range l.Marks {
			row = append(row, l.X.Unit.String(l.reaches(s.Points, m)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// reaches returns the first x at which y is at least so much.
func (l Lines) reaches(points []XY, y float64) float64 {
	for _, p := range points {
		if l.shows(p) && p.Y >= y*(1-1e-12) {
			return p.X
		}
	}
	return missing
}
