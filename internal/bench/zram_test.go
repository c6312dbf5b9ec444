package bench

import (
	"context"
	"errors"
	"math"
	"testing"
)

// The kernel's zram, with the very same pages.
func TestAgainstZRAM(t *testing.T) {
	needZRAM(t)
	const pages = 1601
	o := complete(t, Options{
		Corpora: []string{"gen:java", "gen:typical"}, MaxPages: pages, Against: []string{"zram:lz4"}, Threads: []int{2}, Rounds: 2,
	})
	r, err := Run(t.Context(), o)
	must(t, err)
	if left := devices(t, pages); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if len(r.Rows) != 4 || len(r.Comparisons) != 1 {
		t.Fatalf("%d rows, %d comparisons", len(r.Rows), len(r.Comparisons))
	}
	for i := range r.Rows {
		w := &r.Rows[i]
		if want := []string{"zswapd", "zram"}[i%2]; w.System != want || w.Default != (want == "zswapd") || w.Noise != r.Rows[i/2*2].Noise {
			t.Errorf("row %d: %s, default %v, noise %+v", i, w.System, w.Default, w.Noise)
		}
		checkRow(t, w, pages, o.Rounds)
	}
	c := r.Comparisons[0]
	if c.Codec != "minlz" || c.Against != "zram:lz4" || c.Threads != 2 {
		t.Fatalf("%+v", c)
	}
	for what, pair := range map[string][2]float64{
		"store":  {c.StoreRate, math.Sqrt(r.Rows[1].StoreNsPerPage / r.Rows[0].StoreNsPerPage * r.Rows[3].StoreNsPerPage / r.Rows[2].StoreNsPerPage)},
		"load":   {c.LoadRate, math.Sqrt(r.Rows[1].LoadNsPerPage / r.Rows[0].LoadNsPerPage * r.Rows[3].LoadNsPerPage / r.Rows[2].LoadNsPerPage)},
		"memory": {c.EffectiveRatio, math.Sqrt(r.Rows[0].EffectiveRatio / r.Rows[1].EffectiveRatio * r.Rows[2].EffectiveRatio / r.Rows[3].EffectiveRatio)},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

// No device is left behind, whenever the context ends.
func TestContextRemovesDevices(t *testing.T) {
	needZRAM(t)
	const pages = 603
	total := 1
	for at := 0; at < total; at++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		o := complete(t, Options{Corpora: []string{"gen:java"}, MaxPages: pages, Against: []string{"zram:lz4"}})
		o.Progress = func(done, of int, _ string) {
			if total = of; done == at {
				cancel(cause)
			}
		}
		if _, err := Run(ctx, o); !errors.Is(err, cause) {
			t.Errorf("at step %d: %v", at, err)
		}
		cancel(nil)
		if left := devices(t, pages); len(left) > 0 {
			t.Fatalf("at step %d: left behind %v", at, left)
		}
	}
}
