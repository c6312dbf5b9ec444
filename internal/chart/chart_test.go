package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/small.html anew; then read the difference")

func page(t testing.TB, p *Page) string {
	t.Helper()
	var b bytes.Buffer
	must(t, p.Write(&b))
	return b.String()
}

func one(c Chart) *Page {
	return &Page{Title: "t", Sections: []Section{{Title: "s", Charts: []Chart{c}}}}
}

// A small page of each chart is what it was.
func TestSmall(t *testing.T) {
	got := page(t, &Page{
		Title: "Small", Intro: "A page of each chart.", Facts: []Fact{{"Machine", "none"}},
		Sections: []Section{{Title: "All", Charts: []Chart{
			Bars{Title: "Bars", Note: "longer is better", Groups: []string{"java", "node"}, Series: []BarSeries{{"a", []float64{3, 2.5}}, {"b", []float64{1}}}},
			Scatter{Title: "Scatter", X: Axis{Label: "time", Unit: Nanoseconds}, Y: Axis{Label: "ratio"}, Points: []Point{{"p", "g", 5000, 3}, {"q", "h", 5100, 3.01}}},
			Lines{Title: "Lines", X: Axis{Label: "time", Unit: Nanoseconds, Log: true}, Y: Axis{Label: "within", Unit: Percent, Nines: true},
				Series: []Line{{"a", []XY{{1000, 0}, {2000, 50}, {4000, 99}, {9000, 100}}}}, Marks: []float64{50, 99}},
		}}},
	})
	_, got, _ = strings.Cut(got, "</style>") // the style is no figure
	file := filepath.Join("testdata", "small.html")
	if *rewrite {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("the page is not %s; -rewrite, then read the difference", file)
	}
}

// All that is written is well-formed, every number in it is one, and the page asks nobody for anything.
func TestWellFormed(t *testing.T) {
	text := page(t, lookPage())
	svgs := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(svgs) < 2*12 {
		t.Errorf("%d pictures", len(svgs))
	}
	for _, svg := range svgs {
		checkXML(t, svg)
	}
	for _, bad := range []string{"NaN", "Inf", "<script", "http://", "https://", "url(", "@import", "src=", "ZgotmplZ", ">-0<", ">-0 "} {
		rest := strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		if at := strings.Index(rest, bad); at >= 0 {
			t.Errorf("%q in the page: …%.80s", bad, rest[max(0, at-30):])
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if ids[m[1]] {
			t.Errorf("two elements with the id %s", m[1])
		}
		ids[m[1]] = true
	}
}

var numbers = regexp.MustCompile(`-?[0-9.]+`)

func checkXML(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in %.300s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			if a.Name.Local != "d" && a.Name.Local != "x" && a.Name.Local != "y" && a.Name.Local != "viewBox" {
				continue
			}
			for _, n := range numbers.FindAllString(a.Value, -1) {
				if v, err := strconv.ParseFloat(n, 64); err != nil || v < -1000 || v > 5000 {
					t.Fatalf("%s=%q: %q, %v", a.Name.Local, a.Value, n, err)
				}
			}
		}
	}
}

// Hostile names are text, wherever they stand.
func TestHostileNames(t *testing.T) {
	const name = "</title></svg><script>alert(1)</script><img src=x onerror=y>\" ' & \x00\x01\u202eabc\xff]]>"
	text := page(t, &Page{
		Title: name, Intro: name, Facts: []Fact{{name, name}},
		Sections: []Section{{Title: name, Text: name, Charts: []Chart{
			Bars{Title: name, Note: name, Groups: []string{name, name}, Series: []BarSeries{{name, []float64{1, 2}}, {name, []float64{1, 2}}}},
			Scatter{Title: name, Note: name, X: Axis{Label: name}, Y: Axis{Label: name}, Points: []Point{{name, name, 1, 2}, {name, "", 2, 3}}},
			Lines{Title: name, Note: name, X: Axis{Label: name}, Y: Axis{Label: name}, Series: []Line{{name, []XY{{1, 2}, {2, 3}}}}},
			Lines{Title: name, Y: Axis{Label: name}, Series: []Line{{name, []XY{{1, 2}}}}, Marks: []float64{1}},
		}}},
	})
	for _, bad := range []string{"<script", "<img", "\x00", "\x01", "\u202e", "\xff", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q came through", bad)
		}
	}
	if n := strings.Count(text, "&lt;script&gt;alert(1)"); n < 25 {
		t.Errorf("the name is there %d times", n)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		checkXML(t, svg)
	}
}

// Values that are none, and none at all, are drawn as missing, at any width.
func TestOddValues(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	odd := [][]float64{nil, {0}, {0, 0}, {nan, inf, -inf}, {nan, 5}, {-3, 4}, {-3, -4}, {1e-300, 1e300}, {5e-324, math.MaxFloat64}, {-math.MaxFloat64, 1}, {1, 1 + 1e-15}, {1e15, 1e15 + 1}, {7}}
	for i, values := range odd {
		var points []Point
		var curve []XY
		groups := []string{}
		for j, v := range values {
			points = append(points, Point{"p", "", v, float64(j)}, Point{"q", "", float64(j), v})
			curve = append(curve, XY{v, float64(j)}, XY{float64(j), v})
			groups = append(groups, fmt.Sprint(j))
		}
		for _, unit := range []Unit{Number, Nanoseconds, Seconds, Bytes, Percent} {
			for _, log := range []bool{false, true} {
				a := Axis{Label: "x", Unit: unit, Log: log}
				nines := Axis{Unit: Percent, Nines: !log}
				for _, c := range []Chart{
					Bars{Title: "b", Unit: unit, Groups: groups, Series: []BarSeries{{"s", values}, {"none", nil}}},
					Scatter{Title: "s", X: a, Y: a, Points: points},
					Lines{Title: "l", X: a, Y: a, Series: []Line{{"s", curve}, {"none", nil}}},
					Lines{Title: "m", X: a, Y: nines, Series: []Line{{"s", curve}}, Marks: []float64{50, 100}},
				} {
					text := page(t, one(c))
					if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
						t.Fatalf("values %d, %T, %v: a value that is none is written", i, c, a)
					}
					for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
						checkXML(t, svg)
					}
				}
			}
		}
	}
}

// One bar and forty, with one series and five: each bar is there, none above another, all in the picture.
func TestManyBars(t *testing.T) {
	for _, groups := range []int{1, 40} {
		for _, series := range []int{1, 5} {
			b := Bars{Title: "b"}
			for g := range groups {
				b.Groups = append(b.Groups, strings.Repeat("x", g*3))
			}
			for s := range series {
				v := make([]float64, groups)
				for g := range v {
					v[g] = float64(1 + g + s)
				}
				b.Series = append(b.Series, BarSeries{fmt.Sprint(s), v})
			}
			for _, width := range []float64{wide, narrow} {
				d, bars, last := b.draw(width), 0, -1.0
				for _, s := range d.Shapes {
					var x, y, w, h, back float64
					if n, _ := fmt.Sscanf(s.Path, "M%f %fh%fv%fh%fz", &x, &y, &w, &h, &back); n < 5 {
						continue
					}
					bars++
					if y < last || y+h > float64(d.Height) || x+w > width {
						t.Errorf("%d×%d: a bar at %v, %v of %v×%v; the one before ends at %v", groups, series, x, y, w, h, last)
					}
					last = y + h
				}
				if bars != groups*series {
					t.Errorf("%d bars, want %d", bars, groups*series)
				}
			}
		}
	}
}
