package bench

import (
	"regexp"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/chart"
)

// The page has every row in every chart, with the figures that the table has.
func TestHTML(t *testing.T) {
	r := sample()
	r.Rows[0].curves[store] = []chart.XY{{X: 1234, Y: 0}, {X: 6010, Y: 50}, {X: 99_999, Y: 100}}
	var b strings.Builder
	must(t, r.WriteHTML(&b, []string{"zswapd", "bench", "<pool>"}))
	page := regexp.MustCompile(`\s+`).ReplaceAllString(b.String(), " ")
	for what, want := range map[string]string{
		"the command": "zswapd bench &lt;pool&gt;",
		"a corpus":    "my heap",
		"two threads": "zswapd minlz × 2",
		"zram":        "zram lzo-rle × 1",
		"a comparison, with its ratio of effective ratios": `<th scope="row">minlz over zram:lzo-rle</th><td>0.940</td><td>1.06</td><td>0.770</td><td>1.28</td>`,
		"effective ratios, none of what was not measured":  `<th scope="row">gen:json</th><td>3.30</td><td>–</td><td>–</td>`,
		"a median of single pages":                         "6.01 µs",
		"same-filled pages":                                "5.0 % same-filled, 1.0 % duplicates",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not there: %q", what, want)
		}
	}
}
