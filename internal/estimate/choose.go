package estimate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// Choice is what to run, and why.
type Choice struct {
	Worth          bool     `json:"worth"` // compressed swap gives something here; else there are no sizes
	Codec          string   `json:"codec"`
	PoolLimitBytes int64    `json:"pool_limit_bytes"` // --pool-limit
	SwapBytes      int64    `json:"swap_bytes"`       // --swap
	Cold           string   `json:"cold"`             // what would be denser for pages that stay cold; "": nothing that counts
	Reasons        []string `json:"reasons"`          // sentences for people
}

// The rule. A denser codec must earn its time, and all of it its trouble.
const (
	worthMemory = 0.10 // less memory that a codec must need than a faster one,
	worthTime   = 1.5  // and at most so many times its store and load
	worthCold   = 0.20 // fewer compressed bytes, to be worth a mention for cold pages
	worthSwap   = 1.1  // effective ratio below which a codec frees too little
	slack       = 1.1  // of the pool's limit over what it would need
	memoryShare = 0.5  // of the machine's memory, the most that a pool should take
)

// Choose chooses among measured codecs for so many bytes that could be swapped, on a machine of so much memory. It is a
// function of its arguments alone.
func Choose(measured []Codec, eligible, machine int64) Choice {
	var pages []Codec // not clusters, fastest first
	for _, c := range measured {
		if c.UnitBytes == pageSize {
			pages = append(pages, c)
		}
	}
	slices.SortStableFunc(pages, func(a, b Codec) int { return cmp.Compare(a.cost(), b.cost()) })
	var c Choice
	worth := slices.DeleteFunc(slices.Clone(pages), func(d Codec) bool { return d.EffectiveRatio < worthSwap })
	if c.Worth = len(worth) > 0; !c.Worth {
		c.Codec = pages[0].Codec
		c.because("no codec reaches %.1f to 1 with all memory counted: compressed swap frees too little here", worthSwap)
		return c
	}
	for _, d := range pages {
		if d.EffectiveRatio < worthSwap {
			c.because("%s does not reach %.1f to 1 with all memory counted: it frees too little", d.name(), worthSwap)
		}
	}
	best := worth[0]
	if best.Ratio == 0 {
		c.Codec = compressor.Default
		c.because("all pages looked at are same-filled: they take no memory in the pool, whatever the codec")
	} else {
		best = c.densest(worth)
		c.Codec = best.Codec
	}
	c.cold(measured, &best)
	c.sizes(best.EffectiveRatio, eligible, machine)
	return c
}

// densest goes from the fastest codec to denser ones, as long as they are worth their time.
func (c *Choice) densest(fastestFirst []Codec) Codec {
	best := fastestFirst[0]
	c.because("%s takes the least time, %s for a page out and in", best.name(), report.Duration(best.cost()))
	for _, d := range fastestFirst[1:] {
		less := 1 - best.EffectiveRatio/d.EffectiveRatio
		longer := float64(d.cost()) / float64(best.cost())
		if less >= worthMemory && longer <= worthTime {
			c.because("%s needs %.0f %% less memory for %.2f times the time: worth it (the rule: at least %.0f %%, at most %.1f times)",
				d.name(), 100*less, longer, 100*worthMemory, worthTime)
			best = d
		} else {
			c.because("%s needs %.0f %% %s memory for %.2f times the time: not worth it", d.name(), 100*math.Abs(less), moreOrLess(less), longer)
		}
	}
	return best
}

func moreOrLess(less float64) string {
	if less < 0 {
		return "more"
	}
	return "less"
}

// cost is the median time of a page out and in, in nanoseconds.
func (c *Codec) cost() int64 { return c.Store.P50 + c.Load.P50 }

func (c *Choice) because(format string, args ...any) {
	c.Reasons = append(c.Reasons, fmt.Sprintf(format, args...))
}

// cold looks for what is so much denser that it would pay for pages that nobody touches.
func (c *Choice) cold(measured []Codec, best *Codec) {
	densest := *best
	for _, d := range measured {
		if d.Ratio > densest.Ratio {
			densest = d
		}
	}
	if best.Ratio == 0 || 1-best.Ratio/densest.Ratio < worthCold {
		return
	}
	c.Cold = densest.name()
	c.because("for pages that stay cold, %s would need %.0f %% fewer bytes than %s, at %s a page in", densest.name(),
		100*(1-best.Ratio/densest.Ratio), best.name(), report.Duration(densest.Load.P50))
}

// sizes sets the limits, for everything swapped out.
func (c *Choice) sizes(ratio float64, eligible, machine int64) {
	c.SwapBytes = wholeMiB(float64(eligible))
	need := wholeMiB(float64(eligible) / ratio * slack)
	most := int64(float64(machine)*memoryShare) >> 20 << 20
	c.PoolLimitBytes = max(need, zpool.MinBytes)
	why := fmt.Sprintf("room for all %s at %.2f to 1, and a tenth more", report.Bytes(eligible), ratio)
	if c.PoolLimitBytes > most {
		c.PoolLimitBytes = max(most, zpool.MinBytes)
		why = fmt.Sprintf("half of the machine's memory, which holds %s at %.2f to 1", report.Bytes(int64(float64(c.PoolLimitBytes)*ratio)), ratio)
	}
	c.because("the pool: %s", why)
}

func wholeMiB(bytes float64) int64 { return int64(math.Ceil(bytes/(1<<20))) << 20 }
