package chart

import "math"

// Axis is one of a chart's two.
type Axis struct {
	Label string
	Unit  Unit
	Log   bool // values of 0 and less are missing then
	// Nines is for percentages of which the last ones matter: 90, 99, 99.9 are equally far from each other.
	Nines bool
}

func (a Axis) shows(v float64) bool {
	return finite(v) && math.Abs(v) < 1e300 && !(a.Log && v <= 0) && !(a.Nines && (v < 0 || v > 100))
}

// manyNines is the most nines that an axis tells apart: 99.9999 %.
const manyNines = 6

// nines returns how far a percentage is up on an axis of nines: 1 for 90, 2 for 99.
func nines(v float64) float64 { return min(-math.Log10(max(1-v/100, 0)), manyNines) }

// scale places values on a line of pixels.
type scale struct {
	axis     Axis
	min, max float64 // values; min < max
	from, to float64 // pixels
}

// ends say where a linear scale begins and ends.
type ends struct {
	zero  bool // 0 is on it
	round bool // at round values, not at those that there are
}

// newScale covers the values. Without any it goes from 0 or 1 on.
func newScale(a Axis, values []float64, e ends, from, to float64) scale {
	s := scale{axis: a, from: from, to: to, min: math.Inf(1), max: math.Inf(-1)}
	for _, v := range values {
		if a.shows(v) {
			s.min, s.max = min(s.min, v), max(s.max, v)
		}
	}
	switch {
	case a.Nines:
		s.min, s.max = 0, 90
		for _, v := range values {
			if a.shows(v) && v < 100 {
				s.max = max(s.max, 100-math.Pow(10, 2-math.Ceil(nines(v)-1e-9)))
			}
		}
	case s.min > s.max && a.Log:
		s.min, s.max = 1, 10
	case s.min > s.max:
		s.min, s.max = 0, 1
	case a.Log:
		s.min, s.max = roundDown(s.min), roundUp(s.max)
		if s.min == s.max {
			s.min, s.max = s.min/10, s.max*10
		}
	default:
		if e.zero {
			s.min, s.max = min(s.min, 0), max(s.max, 0)
		}
		if s.max-s.min <= 1e-9*max(math.Abs(s.min), math.Abs(s.max)) { // too little to be cut into steps
			s.min, s.max = min(0, s.min), max(0, s.max)
		}
		if s.max-s.min < 1e-290 {
			s.min, s.max = 0, 1
		}
		if e.round {
			step := niceStep((s.max-s.min)/5, a.Unit == Bytes)
			s.min, s.max = math.Floor(s.min/step+1e-9)*step, math.Ceil(s.max/step-1e-9)*step
		}
	}
	return s
}

// at returns where a value lies.
func (s scale) at(v float64) float64 {
	share := (v - s.min) / (s.max - s.min)
	switch {
	case s.axis.Log:
		share = math.Log(v/s.min) / math.Log(s.max/s.min)
	case s.axis.Nines: // what is beyond the last nine is a little above it
		share = nines(v) / (nines(s.max) + 0.3)
	}
	return s.from + min(max(share, 0), 1)*(s.to-s.from)
}

// roundDown and roundUp return the next 1, 2 or 5 times a power of ten.
func roundDown(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, n := range []float64{5, 2} {
		if n*p <= v*(1+1e-9) {
			return n * p
		}
	}
	return p
}

func roundUp(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, n := range []float64{1, 2, 5} {
		if n*p >= v*(1-1e-9) {
			return n * p
		}
	}
	return 10 * p
}

// niceStep returns a round number of at least v: 1, 2 or 5 times a power of ten, or a power of two.
func niceStep(v float64, binary bool) float64 {
	if binary {
		return math.Pow(2, math.Ceil(math.Log2(v)-1e-9))
	}
	return roundUp(v)
}

// ticks returns the values to be marked: as many as have room for their labels, room being the pixels that one takes.
func (s scale) ticks(room float64) []float64 {
	most := max(int(math.Abs(s.to-s.from)/room), 1)
	switch {
	case s.axis.Log:
		return s.logTicks(most)
	case s.axis.Nines:
		list := []float64{0, 50}
		for n := 1.0; n <= nines(s.max)+1e-9; n++ {
			list = append(list, 100-math.Pow(10, 2-n))
		}
		return list
	}
	step := niceStep((s.max-s.min)/float64(most), s.axis.Unit == Bytes)
	first := math.Ceil(s.min/step - 1e-9)
	var list []float64
	for i := range int(math.Floor(s.max/step+1e-9)-first) + 1 {
		list = append(list, (first+float64(i))*step+0) // and not -0
	}
	return list
}

// logTicks marks 1, 2 and 5 of each power of ten, else the powers, else every n-th of them.
func (s scale) logTicks(most int) (list []float64) {
	first, last := math.Floor(math.Log10(s.min)+1e-9), math.Ceil(math.Log10(s.max)-1e-9)
	all := func(every float64, digits ...float64) (list []float64) {
		for e := first; e <= last; e += every {
			for _, d := range digits {
				if v := d * math.Pow(10, e); v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9) {
					list = append(list, v)
				}
			}
		}
		return list
	}
	if list = all(1, 1, 2, 5); len(list) <= most {
		return list
	}
	for every := 1.0; every <= 512; every++ {
		if list = all(every, 1); len(list) <= most {
			return list
		}
	}
	return list
}
