package histogram

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Every value lies in a bucket whose bounds hold it, and buckets rise without gaps.
func TestBucketsCoverWithoutGaps(t *testing.T) {
	for i := 1; i < buckets; i++ {
		if got := bucket(upper(i-1) + 1); got != i {
			t.Fatalf("bucket(%d) = %d, want %d", upper(i-1)+1, got, i)
		}
		if got := bucket(upper(i)); got != i {
			t.Fatalf("bucket(%d) = %d, want %d", upper(i), got, i)
		}
	}
	if got := bucket(math.MaxUint64); got != buckets-1 {
		t.Fatalf("bucket of the largest value = %d, want the last, %d", got, buckets-1)
	}
}

func TestQuantileIsAtMostOneSixteenthHigh(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(r.Float64() * 18))
		h.Observe(d)
		all = append(all, d)
	}
	slices.Sort(all)
	s := h.Snapshot()
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		got := s.Quantile(q)
		if got < want || float64(got) > float64(want)*(1+1.0/sub)+1 {
			t.Errorf("Quantile(%v) = %v, exact %v", q, got, want)
		}
	}
	if s.Count != 10_000 || s.Max != all[len(all)-1] {
		t.Errorf("count %d, max %v; want 10000, %v", s.Count, s.Max, all[len(all)-1])
	}
}

func TestSubLeavesWhatCameLater(t *testing.T) {
	var h Histogram
	h.Observe(time.Second)
	before := h.Snapshot()
	h.Observe(time.Microsecond)
	since := h.Snapshot().Sub(&before)
	if since.Count != 1 || since.Sum != time.Microsecond || since.Quantile(0.5) < time.Microsecond || since.Quantile(0.5) > 1100*time.Nanosecond {
		t.Errorf("since: count %d, sum %v, p50 %v", since.Count, since.Sum, since.Quantile(0.5))
	}
	if (&Snapshot{}).Quantile(0.5) != 0 {
		t.Error("an empty snapshot has a quantile")
	}
	if sum := since.Add(&before); sum.Count != 2 {
		t.Errorf("Add: count %d, want 2", sum.Count)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(123 * time.Microsecond) }); n != 0 {
		t.Fatalf("Observe allocates %v times", n)
	}
}

func TestBucketsAreAllThatWasCounted(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{3, 3, 3, time.Microsecond, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	var n []uint64
	last := time.Duration(-1)
	for upper, count := range s.Buckets() {
		if upper <= last {
			t.Errorf("%v after %v", upper, last)
		}
		last, n = upper, append(n, count)
	}
	if !slices.Equal(n, []uint64{3, 1, 1}) || last > time.Hour {
		t.Errorf("counts %v, the last up to %v", n, last)
	}
}

func TestSnapshotIsTheSameInJSON(t *testing.T) {
	var h Histogram
	for i := range 1000 {
		h.Observe(time.Duration(i*i) * time.Nanosecond)
	}
	want := h.Snapshot()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Snapshot
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
	for _, bad := range []string{`{"count":1,"buckets":[[100000,1]]}`, `{"count":2,"buckets":[[15,1]]}`, `{"count":-1}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestBoundsHoldWhatWasCounted(t *testing.T) {
	for _, d := range []time.Duration{0, 15, 16, 17, 1 << 20, 1<<20 - 1, 12345678, time.Minute} {
		var h Histogram
		h.Observe(d)
		s, buckets := h.Snapshot(), 0
		for b, n := range s.Bounds() {
			buckets++
			if d < b[0] || d > b[1] || n != 1 || b[1]-b[0] > b[0]/sub {
				t.Errorf("%v: %d between %v and %v", d, n, b[0], b[1])
			}
		}
		if buckets != 1 {
			t.Errorf("%v is in %d buckets", d, buckets)
		}
	}
}
