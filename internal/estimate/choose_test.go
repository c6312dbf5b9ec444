package estimate

import (
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// figures makes a codec with an effective ratio a little below the ratio, and a cost in µs.
func figures(name string, ratio float64, cost int64) Codec {
	return Codec{Codec: name, UnitBytes: pageSize, Ratio: ratio, EffectiveRatio: ratio * 0.95,
		Store: report.Quantiles{P50: cost * 700}, Load: report.Quantiles{P50: cost * 300}}
}

func clusters(ratio float64) Codec {
	return Codec{Codec: "zstd", UnitBytes: clusterBytes, Ratio: ratio}
}

func TestChoose(t *testing.T) {
	const gib = 1 << 30
	lz4, s2, minlz, zstd := figures("lz4", 2.81, 8), figures("s2", 2.88, 6), figures("minlz", 3.31, 7), figures("zstd", 4.5, 27)
	for name, c := range map[string]struct {
		codecs            []Codec
		eligible, machine int64
		codec, cold       string
		limit, swap       int64 // MiB
		worth             bool
		says              string
	}{
		"a java heap":            {[]Codec{lz4, s2, minlz, zstd, clusters(5.3)}, 4 * gib, 64 * gib, "minlz", "zstd, 16 KiB", 1433, 4096, true, "a tenth more"},
		"in another order":       {[]Codec{zstd, minlz, s2, lz4}, 4 * gib, 64 * gib, "minlz", "zstd", 1433, 4096, true, "s2 takes the least time"},
		"denser for a third":     {[]Codec{s2, figures("zstd", 4.5, 8)}, gib, 64 * gib, "zstd", "", 264, 1024, true, "worth it (the rule"},
		"denser for twice":       {[]Codec{s2, figures("zstd", 4.5, 12)}, gib, 64 * gib, "s2", "zstd", 412, 1024, true, "not worth it"},
		"hardly denser":          {[]Codec{s2, figures("zstd", 3.1, 7)}, gib, 64 * gib, "s2", "", 412, 1024, true, "zstd needs 7 % less"},
		"less dense, slower":     {[]Codec{s2, figures("lz4", 2, 7)}, gib, 64 * gib, "s2", "", 412, 1024, true, "lz4 needs 44 % more"},
		"in steps":               {[]Codec{figures("a", 2, 10), figures("b", 2.5, 14), figures("c", 3.2, 20)}, gib, 64 * gib, "c", "", 371, 1024, true, "c needs 22 % less"},
		"clusters not far ahead": {[]Codec{s2, clusters(3.5)}, gib, 64 * gib, "s2", "", 412, 1024, true, ""},
		"a small machine":        {[]Codec{s2}, 4 * gib, 2 * gib, "s2", "", 1024, 4096, true, "half of the machine's memory"},
		"little memory":          {[]Codec{s2}, 100 << 10, 2 * gib, "s2", "", zpool.MinBytes >> 20, 1, true, ""},
		"does not compress":      {[]Codec{figures("lz4", 1.05, 8), figures("zstd", 1.1, 30)}, gib, 64 * gib, "lz4", "", 0, 0, false, "no codec reaches 1.1 to 1"},
		"just worth it":          {[]Codec{figures("lz4", 1.16, 8)}, gib, 64 * gib, "lz4", "", 1023, 1024, true, ""},
		"only to a dense one":    {[]Codec{figures("lz4", 1.1, 8), figures("zstd", 2, 30)}, gib, 64 * gib, "zstd", "", 593, 1024, true, "lz4 does not reach"},
	} {
		got := Choose(c.codecs, c.eligible, c.machine)
		if got.Codec != c.codec || got.Cold != c.cold || got.PoolLimitBytes != c.limit<<20 || got.SwapBytes != c.swap<<20 || got.Worth != c.worth {
			t.Errorf("%s: %+v, want %+v", name, got, c)
		}
		if why := strings.Join(got.Reasons, "\n"); !strings.Contains(why, c.says) {
			t.Errorf("%s: says\n%s\nwant %q", name, why, c.says)
		}
	}
}
