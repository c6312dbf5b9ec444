package chart

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

var lookFlag = flag.String("look", "", "file for the page of TestLook, to be looked at in a browser")

// lookPage has some of everything: few and many, long names, values that are missing, dots that lie close together.
func lookPage() *Page {
	curve := func(name string, median, spread float64) Line {
		l := Line{Name: name}
		for x := median / 4; x < median*400; x *= 1.12 {
			l.Points = append(l.Points, XY{x, 100 / (1 + math.Pow(x/median, -spread))})
		}
		return l
	}
	over := func(name string, slope float64) Line {
		l := Line{Name: name}
		for t := 0.0; t < 42; t += 0.3 {
			l.Points = append(l.Points, XY{t, slope * (1 - math.Exp(-t/9)) * (1 + 0.04*math.Sin(t))})
		}
		return l
	}
	many := Bars{Title: "Forty groups", Note: "shorter is better", Unit: Nanoseconds, Series: []BarSeries{{}}}
	crowd := Scatter{Title: "Dots that lie close together", X: Axis{Label: "µs a page", Unit: Nanoseconds, Log: true}, Y: Axis{Label: "pages over all memory"}}
	for i := range 40 {
		many.Groups = append(many.Groups, fmt.Sprintf("group number %d", i))
		many.Series[0].Values = append(many.Series[0].Values, 900+float64(i*i)*7)
		crowd.Points = append(crowd.Points, Point{
			Label: fmt.Sprintf("codec-%d", i), Group: fmt.Sprintf("family %d", i%5),
			X: 3000 * math.Pow(1.08, float64(i%23)), Y: 2.5 + math.Sin(float64(i))*float64(i%9)/9,
		})
	}
	corpora := []string{"java", "node", "python", "redis"}
	marks := []float64{50, 90, 99, 99.9}
	latency := func(title string, lines ...Line) Lines {
		return Lines{Title: title, X: Axis{Label: "time of a page", Unit: Nanoseconds, Log: true}, Y: Axis{Label: "pages within that time", Unit: Percent, Nines: true}, Series: lines, Marks: marks}
	}
	return &Page{
		Title: "zswapd bench pool",
		Intro: "Pages of four programs, stored and loaded by three systems.",
		Facts: []Fact{
			{"Command", "zswapd bench pool --corpus /var/lib/pages --against zram:lz4,zram:zstd --html result.html"},
			{"Machine", "2 × Intel(R) Xeon(R) Processor (virtual), 23.5 GiB, Linux 6.18.44, page-cluster 3, swappiness 60, huge pages madvise, go1.26.8, load 0.6"},
		},
		Sections: []Section{
			{Title: "Density", Text: "All memory is counted: compressed bytes, tables, slack.", Charts: []Chart{
				Bars{Title: "Pages over all memory", Note: "longer is better", Groups: corpora, Series: []BarSeries{
					{"pool:minlz", []float64{3.30, 3.21, 3.54, 8.07}}, {"zram:lz4", []float64{2.58, 2.29, 2.63, 6.88}}, {"zram:zstd", []float64{3.9, math.NaN(), 4.4}},
				}},
				Bars{Title: "Storing a page", Note: "shorter is better", Unit: Nanoseconds, Groups: corpora, Series: []BarSeries{
					{"pool:minlz", []float64{5600, 5000, 3600, 1900}}, {"zram:lz4", []float64{5500, 5600, 4000, 2000}},
				}},
				Bars{Title: "One bar", Unit: Bytes, Groups: []string{"all"}, Series: []BarSeries{{"memory", []float64{390.7 * (1 << 20)}}}},
				Bars{Title: "Long names", Unit: Percent, Groups: []string{strings.Repeat("a long name of a corpus ", 5), "short"}, Series: []BarSeries{{strings.Repeat("series ", 12), []float64{99.95, 0}}, {"b", []float64{12, 55}}}},
			}},
			{Title: "Cost and gain", Charts: []Chart{
				Scatter{Title: "Memory against time", Note: "up and to the left is better", X: Axis{Label: "storing and loading a page", Unit: Nanoseconds}, Y: Axis{Label: "pages over all memory"}, Points: []Point{
					{"minlz", "pool", 8500, 3.3}, {"minlz:2", "pool", 9400, 3.44}, {"s2", "pool", 7600, 2.9}, {"lz4", "pool", 7900, 2.8}, {"zstd", "pool", 29000, 4.2}, {"zstd:3", "pool", 38000, 4.4},
					{"lz4", "zram", 7500, 2.58}, {"lzo-rle", "zram", 7700, 2.66}, {"zstd", "zram", 26000, 3.9},
				}},
				crowd,
			}},
			{Title: "Latency", Charts: []Chart{
				latency("Storing a page", curve("pool:minlz", 5600, 2.4), curve("zram:lz4", 5100, 3), curve("pool:zstd", 24000, 2.8), curve("pool:none", 1500, 1.6)),
				Lines{Title: "Memory over time", X: Axis{Label: "time", Unit: Seconds}, Y: Axis{Label: "memory", Unit: Bytes}, Step: true,
					Series: []Line{over("pages", 1<<30), over("pool:minlz", 1<<28), over("zram:lz4", 1.3*(1<<28))}},
			}},
			{Title: "Extremes", Charts: []Chart{
				many,
				Bars{Title: "Nothing"},
				Scatter{Title: "No points", X: Axis{Label: "x"}, Y: Axis{Label: "y", Log: true}},
				Lines{Title: "One point", X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Series: []Line{{"a", []XY{{3, 4}}}, {"b", []XY{{math.NaN(), 1}, {math.Inf(1), 2}}}}},
			}},
		},
	}
}

// TestLook writes the page for people: go test ./internal/chart -run Look -look /tmp/page.html
func TestLook(t *testing.T) {
	if *lookFlag == "" {
		t.Skip("for people: -look FILE")
	}
	f, err := os.Create(*lookFlag)
	must(t, err)
	must(t, lookPage().Write(f))
	must(t, f.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
