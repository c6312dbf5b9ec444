package chart

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// No label lies on another one, on a dot, or outside; and as long as there is room, none is left out.
func TestLabelsDoNotCollide(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 5, 12, 40, 200} {
		area := box{40, 20, 860, 290}
		var dots []dot
		for range n {
			dots = append(dots, dot{x: 60 + 780*r.Float64(), y: 40 + 240*r.Float64(), label: strings.Repeat("ab", 1+r.IntN(6))})
		}
		labels := place(dots, area, 300)
		shown := 0
		for i, a := range labels {
			if !a.shown {
				continue
			}
			shown++
			if !area.holds(a.box) {
				t.Errorf("%d dots: a label outside: %+v", n, a)
			}
			for j, b := range labels {
				if j != i && b.shown && a.box.meets(b.box) {
					t.Errorf("%d dots: %q on %q", n, a.text, b.text)
				}
				d := b.dot
				if j != i && a.box.meets(box{d.x - dotRadius, d.y - dotRadius, d.x + dotRadius, d.y + dotRadius}) {
					t.Errorf("%d dots: %q on a dot", n, a.text)
				}
			}
		}
		if n <= 40 && shown < n {
			t.Errorf("%d labels of %d are shown", shown, n)
		}
	}
}

// Labels of ticks keep apart, for any range, unit and width.
func TestTicksKeepApart(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 20_000 {
		a := Axis{Unit: Unit(r.IntN(5)), Log: r.IntN(2) == 0}
		x := math.Pow(10, r.Float64()*15-3)
		values := []float64{x, x * (1 + math.Pow(10, r.Float64()*6-2))}
		s := newScale(a, values, ends{r.IntN(2) == 0, r.IntN(2) == 0}, 0, 100+r.Float64()*800)
		const room = 70
		ticks := s.ticks(room)
		if !slices.IsSorted(ticks) {
			t.Fatalf("%+v: %v", s, ticks)
		}
		for i, v := range ticks {
			if v < s.min*(1-1e-6)-1e-9 || v > s.max*(1+1e-6) {
				t.Fatalf("%+v: the tick %v is outside", s, v)
			}
			if i > 0 && s.at(v)-s.at(ticks[i-1]) < room/2 {
				t.Fatalf("%+v: ticks %v are %v apart", s, ticks, s.at(v)-s.at(ticks[i-1]))
			}
		}
		for _, v := range values {
			if v < s.min*(1-1e-9) || v > s.max*(1+1e-9) {
				t.Fatalf("%+v does not cover %v", s, v)
			}
		}
	}
}

// No text reaches over the edge of its picture, wide or narrow.
func TestTextsStayInside(t *testing.T) {
	long := Lines{Title: "100 ms", X: Axis{Unit: Nanoseconds, Log: true}, Series: []Line{{"a", []XY{{1e6, 0}, {1e8, 1}}}}}
	for _, section := range append(lookPage().Sections, Section{Charts: []Chart{long}}) {
		for _, c := range section.Charts {
			for _, width := range []float64{wide, narrow} {
				for _, s := range c.draw(width).Shapes {
					w, x := textWidth(s.Text), float64(s.X)
					left := map[string]float64{start: x, middle: x - w/2, end: x - w}[s.Anchor]
					if title, _ := c.head(); s.Path == "" && (left < -1 || left+w > width+1) {
						t.Errorf("%s, %v wide: %q from %.1f to %.1f", title, width, s.Text, left, left+w)
					}
				}
			}
		}
	}
}

func TestFit(t *testing.T) {
	for _, s := range []string{"", "a", "short", strings.Repeat("long ", 50), "日本語日本語日本語", strings.Repeat("é", 99)} {
		for _, width := range []float64{0, 20, 60, 500} {
			got := fit(s, width)
			if textWidth(got) > width && got != "…" {
				t.Errorf("fit(%q, %v) = %q: %v", s, width, got, textWidth(got))
			}
			if textWidth(s) <= width && got != s {
				t.Errorf("fit(%q, %v) = %q", s, width, got)
			}
		}
	}
	if got := fit("zswapd-abcdefghijklmnopqrstuvwxyz:lz4", 120); !strings.HasPrefix(got, "zswa") || !strings.HasSuffix(got, "lz4") {
		t.Errorf("both ends should be left: %q", got)
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		unit        Unit
		v           float64
		value, tick string
	}{
		{Number, 0, "0", "0"}, {Number, 3.3, "3.30", "3.3"}, {Number, 2, "2.00", "2"}, {Number, 1234567, "1,234,567", "1,234,567"},
		{Nanoseconds, 4910, "4.91 µs", "4.91 µs"}, {Nanoseconds, 999.6, "1.00 µs", "1 µs"}, {Nanoseconds, 5e9, "5.00 s", "5 s"}, {Nanoseconds, 7e12, "7,000 s", "7,000 s"},
		{Bytes, 390.7 * (1 << 20), "391 MiB", "391 MiB"}, {Bytes, 1 << 30, "1.00 GiB", "1 GiB"}, {Bytes, 0, "0 B", "0 B"},
		{Percent, 99.9, "99.9 %", "99.9 %"}, {Percent, 100, "100 %", "100 %"}, {Percent, 10, "10 %", "10 %"},
		{Seconds, 12.5, "12.5 s", "12.5 s"}, {Number, math.NaN(), "–", "–"}, {Bytes, math.Inf(-1), "–", "–"}, {Number, -1500, "-1,500", "-1,500"},
	} {
		if got := c.unit.String(c.v); got != c.value {
			t.Errorf("%v of %d: %q, want %q", c.v, c.unit, got, c.value)
		}
		if got := c.unit.tick(c.v); got != c.tick {
			t.Errorf("tick %v of %d: %q, want %q", c.v, c.unit, got, c.tick)
		}
	}
}

// The table tells the same figures as the picture.
func TestTables(t *testing.T) {
	l := Lines{X: Axis{Label: "x", Unit: Nanoseconds}, Y: Axis{Label: "y", Unit: Percent}, Series: []Line{{"a", []XY{{100, 10}, {200, 50}, {900, 99}}}}, Marks: []float64{50, 60, 99.5}}
	if got := l.table().Rows; !slices.Equal(got[0], []string{"a", "200 ns", "900 ns", "–"}) {
		t.Errorf("%q", got)
	}
	l.Marks = nil
	for _, c := range []struct {
		step bool
		want string
	}{{false, "30 %"}, {true, "10 %"}} {
		l.Step = c.step
		if got := l.Y.Unit.String(l.valueAt(l.Series[0].Points, 150)); got != c.want {
			t.Errorf("step %v: at 150 it is %s, want %s", c.step, got, c.want)
		}
	}
	if got := l.valueAt(l.Series[0].Points, 50); !math.IsNaN(got) {
		t.Errorf("before the first point: %v", got)
	}
}
