package chart

import "fmt"

// Bars are values of some series, side by side for each group. They begin at zero.
type Bars struct {
	Title  string
	Note   string // such as: longer is better
	Unit   Unit
	Groups []string
	Series []BarSeries
}

// BarSeries has a value for each group; those that are not there are missing.
type BarSeries struct {
	Name   string
	Values []float64
}

func (b Bars) value(series, group int) float64 {
	if v := b.Series[series].Values; group < len(v) && (Axis{}).shows(v[group]) {
		return v[group]
	}
	return missing
}

func (b Bars) head() (title, note string) { return b.Title, b.Note }

func (b Bars) legend() (keys []key) {
	if len(b.Series) < 2 {
		return nil
	}
	for i, s := range b.Series {
		keys = append(keys, key{clean(s.Name), swatch(func(d *drawing) { d.rect(fillClass(i), "", 0, 0, 24, 12) })})
	}
	return keys
}

func (b Bars) table() (t table) {
	t.Head = []string{""}
	for _, s := range b.Series {
		t.Head = append(t.Head, clean(s.Name))
	}
	for g, name := range b.Groups {
		row := []string{clean(name)}
		for s := range b.Series {
			row = append(row, b.Unit.String(b.value(s, g)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

const (
	barHeight = 15
	barGap    = 2
	groupGap  = 13
)

// draw puts the names of groups left of their bars, or above them where there is little room.
func (b Bars) draw(width float64) *drawing {
	var values []float64
	labels := 0.0
	for s := range b.Series {
		for g := range b.Groups {
			v := b.value(s, g)
			values, labels = append(values, v), max(labels, textWidth(b.Unit.String(v)))
		}
	}
	above := width < wide
	left, groupHeight := 1.0, float64(len(b.Series)*(barHeight+barGap)-barGap+groupGap)
	if above {
		groupHeight += lineStep
	} else {
		for _, g := range b.Groups {
			left = max(left, min(textWidth(clean(g)), width*0.3))
		}
		left += gap
	}
	bottom := groupGap/2 + groupHeight*float64(len(b.Groups))
	d := &drawing{Width: number(width), Height: number(bottom + 22), About: fmt.Sprintf("bars, %d groups of %d", len(b.Groups), len(b.Series))}
	x := newScale(Axis{Unit: b.Unit}, values, ends{zero: true}, left, width-labels-gap)
	d.barTicks(x, bottom)
	for g, name := range b.Groups {
		y := groupGap/2 + groupHeight*float64(g)
		if name = clean(name); above {
			d.text("", 5, y+12, start, fit(name, width-5), name)
			y += lineStep
		} else {
			middleY := y + (groupHeight-groupGap)/2
			d.text("", left-gap, middleY+4, end, fit(name, left-gap), name)
		}
		for s := range b.Series {
			b.bar(d, x, s, g, y+float64(s*(barHeight+barGap)))
		}
	}
	d.line("base", x.at(0), 0, x.at(0), bottom)
	return d
}

func (d *drawing) barTicks(x scale, bottom float64) {
	widest := 0.0
	for _, v := range x.ticks(20) {
		widest = max(widest, textWidth(x.axis.Unit.tick(v)))
	}
	for _, v := range x.ticks(max(widest+16, x.to/12)) {
		at, anchor := x.at(v), middle
		d.line("grid", at, 0, at, bottom)
		if at < textWidth(x.axis.Unit.tick(v))/2 {
			anchor = start
		}
		d.text("tick", at, bottom+16, anchor, x.axis.Unit.tick(v), "")
	}
}

func (b Bars) bar(d *drawing, x scale, series, group int, y float64) {
	v := b.value(series, group)
	text := b.Unit.String(v)
	zero := x.at(0)
	if !finite(v) {
		d.text("none", zero+4, y+barHeight-3, start, text, "no value")
		return
	}
	at := x.at(v)
	title := clean(b.Groups[group])
	if name := clean(b.Series[series].Name); name != "" {
		title += ", " + name
	}
	d.rect(fillClass(series), title+": "+text, min(zero, at), y, max(at, zero)-min(at, zero), barHeight)
	d.text("", max(at, zero)+4, y+barHeight-3, start, text, "")
}
