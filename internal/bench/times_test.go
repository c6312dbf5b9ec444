package bench

import (
	"slices"
	"testing"
)

// Two blocks, three rounds: a round that was disturbed changes nothing, and a short block counts by its pages.
func TestTimes(t *testing.T) {
	var x times
	for _, round := range [][2]int64{{1000, 90}, {99999, 50}, {3000, 70000}} {
		x.add(0, 10, round[0])
		x.add(1, 1, round[1])
	}
	if got, want := x.perPage(), (3000+90)/11.0; got != want {
		t.Errorf("perPage %v, want %v", got, want)
	}
	if got, want := x.perRound(), []float64{1090 / 11.0, 100049 / 11.0, 73000 / 11.0}; !slices.Equal(got, want) {
		t.Errorf("perRound %v, want %v", got, want)
	}
	for i := range int64(100) {
		x.single = append(x.single, 100-i)
	}
	if got := x.alone(); got.P50 != 50 || got.P99 != 99 || got.Max != 100 || got.NsPerPage != x.perPage() || x.single[0] != 100 {
		t.Errorf("%+v", got)
	}
}

// Of an even number of rounds no median is the better half's worst, and no quantile leaves out more than its share.
func TestRanks(t *testing.T) {
	var x times
	for _, ns := range []int64{400, 100, 300, 200} {
		x.add(0, 1, ns)
	}
	if got := x.perPage(); got != 250 {
		t.Errorf("median of 100, 200, 300, 400: %v", got)
	}
	for n := 1; n < 400; n++ {
		list := make([]int64, n)
		for i := range list {
			list[i] = int64(n - i)
		}
		for _, q := range []int{50, 90, 99, 100} {
			least := int64((q*n + 99) / 100)
			if got := quantile(list, float64(q)/100); got != least {
				t.Fatalf("%d %% of 1 to %d do not exceed %d, want %d", q, n, got, least)
			}
		}
	}
}
