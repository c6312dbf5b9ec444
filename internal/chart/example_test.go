package chart_test

import (
	"fmt"
	"strings"

	"github.com/zswapd/zswapd/internal/chart"
)

func Example() {
	p := chart.Page{
		Title: "zswapd bench pool",
		Facts: []chart.Fact{{Name: "Command", Value: "zswapd bench pool --corpus pages"}},
		Sections: []chart.Section{{Title: "Density", Charts: []chart.Chart{
			chart.Bars{
				Title: "Pages over all memory", Note: "longer is better",
				Groups: []string{"java", "node"},
				Series: []chart.BarSeries{{Name: "pool:minlz", Values: []float64{3.30, 3.21}}, {Name: "zram:lz4", Values: []float64{2.58, 2.29}}},
			},
			chart.Scatter{
				Title: "Memory against time", Note: "up and to the left is better",
				X:      chart.Axis{Label: "a page out and in again", Unit: chart.Nanoseconds},
				Y:      chart.Axis{Label: "pages over all memory"},
				Points: []chart.Point{{Label: "minlz", Group: "pool", X: 8500, Y: 3.30}, {Label: "lz4", Group: "zram", X: 7400, Y: 2.58}},
			},
		}}, {Title: "Latency", Charts: []chart.Chart{
			chart.Lines{
				Title:  "Storing a page",
				X:      chart.Axis{Label: "time of a page", Unit: chart.Nanoseconds, Log: true},
				Y:      chart.Axis{Label: "pages within that time", Unit: chart.Percent, Nines: true},
				Series: []chart.Line{{Name: "pool:minlz", Points: []chart.XY{{X: 2000, Y: 10}, {X: 5600, Y: 50}, {X: 24000, Y: 99}, {X: 900e3, Y: 100}}}},
				Marks:  []float64{50, 99, 100},
			},
		}}},
	}
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	fmt.Println(strings.Count(b.String(), "<figure"), "charts,", strings.Count(b.String(), "<tbody>"), "tables")
	// Output: 3 charts, 3 tables
}
