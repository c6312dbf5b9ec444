package chart

import (
	"fmt"
	"strings"
)

// drawing is a picture of shapes: all are paths or texts.
type drawing struct {
	ID, Class     string
	About         string // for who does not see it
	Width, Height number
	Shapes        []shape
}

type shape struct {
	Class        string
	Path         string // of a path; "" for a text
	X, Y         number
	Anchor, Text string
	Title        string // the tooltip; "" for none
}

// number is a coordinate in CSS pixels, as it is written: one decimal, which no eye can tell from more.
type number float64

func (n number) String() string {
	s := strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)), ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// Anchors of a text.
const (
	start  = "start"
	middle = "middle"
	end    = "end"
)

func (d *drawing) path(class, title, format string, at ...float64) {
	args := make([]any, len(at))
	for i, v := range at {
		args[i] = number(v)
	}
	d.Shapes = append(d.Shapes, shape{Class: class, Title: title, Path: fmt.Sprintf(format, args...)})
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	d.path(class, "", "M%v %vL%v %v", x1, y1, x2, y2)
}

func (d *drawing) rect(class, title string, x, y, w, h float64) {
	d.path(class, title, "M%v %vh%vv%vh%vz", x, y, w, h, -w)
}

// text writes s, already clean; title, if it differs, is the whole of what was cut.
func (d *drawing) text(class string, x, y float64, anchor, s, title string) {
	if title == s {
		title = ""
	}
	d.Shapes = append(d.Shapes, shape{Class: class, X: number(x), Y: number(y), Anchor: anchor, Text: s, Title: title})
}

// colors is how many series have a color of their own; later ones differ by dashes and marks.
const colors = 8

func fillClass(i int) string { return fmt.Sprintf("area f%d", i%colors) }

func curveClass(i int) string { return fmt.Sprintf("curve l%d d%d", i%colors, i%4) }

func markClass(i int) string { return fmt.Sprintf("mark f%d", i%colors) }

// mark draws a point of a series: a circle, a square, a triangle, a diamond.
func (d *drawing) mark(i int, x, y float64, title string) {
	const r = 5
	switch i % 4 {
	case 0:
		d.path(markClass(i), title, "M%v %va%v %v 0 1 0 %v 0a%v %v 0 1 0 %v 0z", x-r, y, r, r, 2*r, r, r, -2*r)
	case 1:
		d.path(markClass(i), title, "M%v %vh%vv%vh%vz", x-r, y-r, 2*r, 2*r, -2*r)
	case 2:
		d.path(markClass(i), title, "M%v %vL%v %vL%v %vz", x, y-r-1, x+r+1, y+r, x-r-1, y+r)
	case 3:
		d.path(markClass(i), title, "M%v %vL%v %vL%v %vL%v %vz", x, y-r-1, x+r+1, y, x, y+r+1, x-r-1, y)
	}
}

func swatch(draw func(d *drawing)) *drawing {
	d := &drawing{}
	draw(d)
	return d
}
