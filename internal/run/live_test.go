package run

import (
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/zpool"
)

func TestLiveLineFitsItsTerminal(t *testing.T) {
	for width, want := range map[int]int{0: 79, 1: 79, 20: 19, 300: 120} {
		var b strings.Builder
		NewLiveLine(&b, width).Show(strings.Repeat("µ", 120))
		if got := strings.Count(b.String(), "µ"); got != want {
			t.Errorf("%d columns: %d letters, want %d", width, got, want)
		}
	}
	var none *LiveLine
	none.Show("without a terminal nothing is written")
}

func TestLiveLineSaysWhatHappened(t *testing.T) {
	before := sample{at: time.Unix(100, 0), reads: 1000, waiting: 1000, waited: 5 * time.Millisecond}
	now := sample{
		at: time.Unix(102, 0), used: 300 << 20, reads: 9000, waiting: 9000, waited: 105 * time.Millisecond,
		pool: zpool.Stats{StoredPages: 256 << 10 / 4, MemoryBytes: 100 << 20},
	}
	want := "swapped 300 MiB  pool 100 MiB  ratio 2.56  saved 156 MiB  faults 4,000/s  fault 12.5 µs"
	if got := now.line(&before); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
