package histogram

import (
	"iter"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	subBits = 4            // 16 buckets per power of two
	sub     = 1 << subBits //
	maxBits = 36           // values of 2^36 ns (69 s) and more share the last bucket
	buckets = (maxBits-subBits)*sub + sub
)

// Histogram counts durations in nanoseconds. The zero value is empty and ready.
// All methods may be called concurrently.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
	max    atomic.Uint64 // nanoseconds
}

// bucket returns the index of the bucket that holds ns.
func bucket(ns uint64) int {
	if ns < sub {
		return int(ns)
	}
	shift := bits.Len64(ns) - 1 - subBits
	return min((shift+1)<<subBits+int(ns>>shift)-sub, buckets-1)
}

// upper returns the largest value that bucket i holds, in nanoseconds.
func upper(i int) uint64 {
	if i < sub {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(sub+i&(sub-1))+1)<<shift - 1
}

// Observe counts one duration; a negative one counts as zero. It does not allocate.
func (h *Histogram) Observe(d time.Duration) { h.ObserveN(d, 1) }

// ObserveN counts n durations that are alike.
func (h *Histogram) ObserveN(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	ns := uint64(max(d, 0))
	h.counts[bucket(ns)].Add(n)
	h.sum.Add(ns * n)
	for old := h.max.Load(); ns > old && !h.max.CompareAndSwap(old, ns); old = h.max.Load() {
	}
}

// Snapshot copies the histogram. Observations made meanwhile may be counted in part.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	s.Sum = time.Duration(h.sum.Load())
	s.Max = time.Duration(h.max.Load())
	return s
}

// Snapshot is a histogram at one moment.
type Snapshot struct {
	Count  uint64
	Sum    time.Duration
	Max    time.Duration // the largest since the histogram was made, also after Sub
	counts [buckets]uint64
}

// Quantile returns an upper bound of the q-quantile, q from 0 to 1, at most 1/16 too high.
// It returns 0 for an empty snapshot.
func (s *Snapshot) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(s.Count))
	var seen uint64
	for i, n := range s.counts {
		if seen += n; n > 0 && seen > min(rank, s.Count-1) {
			return min(time.Duration(upper(i)), s.Max)
		}
	}
	return 0
}

// Buckets gives each bucket that holds something: the largest duration that it may hold, and how many it does.
func (s *Snapshot) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for i, n := range s.counts {
			if n > 0 && !yield(min(time.Duration(upper(i)), s.Max), n) {
				return
			}
		}
	}
}

// Bounds gives each bucket that holds something with its own bounds, whatever Max is: the smallest and the largest duration
// that it may hold, and how many it does.
func (s *Snapshot) Bounds() iter.Seq2[[2]time.Duration, uint64] {
	return func(yield func([2]time.Duration, uint64) bool) {
		var lower uint64
		for i, n := range s.counts {
			if n > 0 && !yield([2]time.Duration{time.Duration(lower), time.Duration(upper(i))}, n) {
				return
			}
			lower = upper(i) + 1
		}
	}
}

// Sub returns what s counts beyond the older snapshot of the same histogram.
func (s Snapshot) Sub(older *Snapshot) Snapshot {
	s.Count -= older.Count
	s.Sum -= older.Sum
	for i := range s.counts {
		s.counts[i] -= older.counts[i]
	}
	return s
}

// Add returns the sum of two snapshots.
func (s Snapshot) Add(other *Snapshot) Snapshot {
	s.Count += other.Count
	s.Sum += other.Sum
	s.Max = max(s.Max, other.Max)
	for i := range s.counts {
		s.counts[i] += other.counts[i]
	}
	return s
}
