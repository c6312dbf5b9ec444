package bench

import (
	"math"
	"slices"

	"github.com/zswapd/zswapd/internal/chart"
)

// op is what is done to a page.
type op int

const (
	store   op = iota // into an empty store
	load              // after it
	restore           // over an older page
	ops
)

var opNames = [ops]string{"store", "load", "restore"}

// times are what one op took, block by block.
type times struct {
	pages  []int     // of each block
	blocks [][]int64 // ns of each block, round by round
	single []int64   // ns of each page, if pages were timed by themselves
}

// add notes a block of the round under way.
func (t *times) add(block, pages int, ns int64) {
	for len(t.blocks) <= block {
		t.blocks, t.pages = append(t.blocks, nil), append(t.pages, 0)
	}
	t.blocks[block], t.pages[block] = append(t.blocks[block], ns), pages
}

// perPage returns the mean over blocks of the median over rounds, in ns per page.
func (t *times) perPage() float64 {
	sum, pages := 0.0, 0
	for i, rounds := range t.blocks {
		sum += median(rounds)
		pages += t.pages[i]
	}
	return sum / float64(pages)
}

// perRound returns the ns per page of each round.
func (t *times) perRound() []float64 {
	var out []float64
	for r := range t.blocks[0] {
		sum, pages := int64(0), 0
		for i, rounds := range t.blocks {
			sum += rounds[r]
			pages += t.pages[i]
		}
		out = append(out, float64(sum)/float64(pages))
	}
	return out
}

// alone returns the figures of pages that were timed by themselves.
func (t *times) alone() Single {
	return Single{NsPerPage: t.perPage(), P50: quantile(t.single, 0.5), P99: quantile(t.single, 0.99), Max: slices.Max(t.single)}
}

// curve returns how many of the pages that were timed by themselves took so long at most, in percent.
func (t *times) curve() (c []chart.XY) {
	sorted := slices.Sorted(slices.Values(t.single))
	for _, percent := range []float64{0, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99, 100} {
		if len(sorted) > 0 {
			c = append(c, chart.XY{X: float64(sorted[rank(percent/100, len(sorted))]), Y: percent})
		}
	}
	return c
}

// median of a list that is not empty and stays as it is: of an even number the mean of the two in the middle.
func median(list []int64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return float64(sorted[(n-1)/2]+sorted[n/2]) / 2
}

// quantile of a list that is not empty and stays as it is: the smallest value that a share q of them does not exceed.
func quantile(list []int64, q float64) int64 {
	return slices.Sorted(slices.Values(list))[rank(q, len(list))]
}

// rank returns where in a sorted list of n values the quantile is.
func rank(q float64, n int) int { return max(int(math.Ceil(q*float64(n)-1e-9))-1, 0) }
