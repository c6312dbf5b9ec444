package chart

import "slices"

// dot is a point in pixels with its label.
type dot struct {
	x, y  float64
	label string
}

// box is a rectangle in pixels.
type box struct{ x1, y1, x2, y2 float64 }

func (a box) meets(b box) bool { return a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2 }

func (a box) holds(b box) bool {
	return a.x1 <= b.x1 && b.x2 <= a.x2 && a.y1 <= b.y1 && b.y2 <= a.y2
}

// label is where the label of a dot goes.
type label struct {
	dot          dot
	text         string
	box          box
	shown        bool // there was room
	far          bool // so far away that a line leads to it
	lineX, lineY float64
}

const dotRadius = 7 // of what a mark takes

// place finds a place for each label: none meets another one or a dot, all lie in the area. What finds none is not shown.
// Labels are cut to widest.
func place(dots []dot, area box, widest float64) (labels []label) {
	var taken []box
	for _, d := range dots {
		taken = append(taken, box{d.x - dotRadius, d.y - dotRadius, d.x + dotRadius, d.y + dotRadius})
	}
	for i, d := range dots {
		l := label{dot: d, text: fit(d.label, widest)}
		for _, p := range places(d, textWidth(l.text)) {
			others := func(b box) bool { return b != taken[i] && p.box.meets(b) }
			if l.text != "" && area.holds(p.box) && !slices.ContainsFunc(taken, others) {
				l.box, l.far, l.lineX, l.lineY, l.shown = p.box, p.far, p.lineX, p.lineY, true
				taken = append(taken, p.box)
				break
			}
		}
		labels = append(labels, l)
	}
	return labels
}

// places lists where a label of so many pixels may go, the best first: right, left, above, below, and then farther away.
func places(d dot, w float64) (list []label) {
	const h = textSize + 4
	add := func(x, y float64, far bool) { // the middle of the box
		b := box{x - w/2, y - h/2, x + w/2, y + h/2}
		list = append(list, label{box: b, far: far, lineX: min(max(d.x, b.x1), b.x2), lineY: min(max(d.y, b.y1), b.y2)})
	}
	for i, r := range []float64{0, 14, 30, 48, 68} {
		x, y, far := w/2+dotRadius+2+r/2, h/2+dotRadius+r, i > 0
		if i == 0 {
			add(d.x+x, d.y, false)
			add(d.x-x, d.y, false)
		}
		add(d.x, d.y-y, far)
		add(d.x, d.y+y, far)
		add(d.x+x, d.y-y, far)
		add(d.x+x, d.y+y, far)
		add(d.x-x, d.y-y, far)
		add(d.x-x, d.y+y, far)
	}
	return list
}
