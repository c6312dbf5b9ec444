package chart

// frame is a drawing with a plot area between two axes.
type frame struct {
	*drawing
	x, y scale
}

const (
	aboveplot = 26 // the name of the y axis
	belowPlot = 42 // ticks and the name of the x axis
	gap       = 8
)

// newFrame draws the axes around values.
func newFrame(width float64, x, y Axis, xs, ys []float64, endsX, endsY ends) *frame {
	height := 330.0
	if width < wide {
		height = 290
	}
	top, bottom := float64(aboveplot), height-belowPlot
	ys2 := newScale(y, ys, endsY, bottom, top)
	yTicks := ys2.ticks(34)
	left := 0.0
	for _, v := range yTicks {
		left = max(left, textWidth(y.Unit.tick(v)))
	}
	left += gap
	xs2 := newScale(x, xs, endsX, left, width-18)
	f := &frame{drawing: &drawing{Width: number(width), Height: number(height)}, x: xs2, y: ys2}
	for _, v := range yTicks {
		at := ys2.at(v)
		f.line("grid", left, at, width-18, at)
		f.text("tick", left-gap, at+4, end, y.Unit.tick(v), "")
	}
	f.xTicks(bottom, top)
	f.line("base", left, bottom, width-18, bottom)
	f.text("name", 0, 12, start, fit(clean(y.Label), width), clean(y.Label))
	f.text("name", width-18, height-4, end, fit(clean(x.Label), width-left), clean(x.Label))
	return f
}

func (f *frame) xTicks(bottom, top float64) {
	widest := 0.0
	for _, v := range f.x.ticks(20) {
		widest = max(widest, textWidth(f.x.axis.Unit.tick(v)))
	}
	right := 0.0 // end of the label before
	for _, v := range f.x.ticks(max(widest+14, 60)) {
		at, s := f.x.at(v), f.x.axis.Unit.tick(v)
		half := textWidth(s) / 2
		f.line("grid", at, top, at, bottom)
		at = min(at, float64(f.Width)-half)
		if at-half > right {
			f.text("tick", at, bottom+17, middle, s, "")
			right = at + half + gap/2
		}
	}
}
