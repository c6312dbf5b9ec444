package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zswapd/zswapd/internal/histogram"
)

// schema of the native histograms: 2^schema buckets for each power of two. Ours have 16, evenly spaced, so that none is wider
// than two of these, and most fit into one.
const schema = 3

// Classic buckets end at powers of two of nanoseconds, at which ours end, too: about 1 µs to 1 s.
const (
	classicFirst = 10
	classicLast  = 30
)

// both is one histogram in both forms: who scrapes takes what he understands.
type both struct {
	prometheus.Metric // the native one
	classic           prometheus.Metric
}

// Write writes both.
func (m both) Write(to *dto.Metric) error {
	var c dto.Metric
	if err := m.classic.Write(&c); err != nil {
		return err
	}
	if err := m.Metric.Write(to); err != nil {
		return err
	}
	to.Histogram.Bucket = c.Histogram.Bucket
	return nil
}

// newTiming makes the metric of a histogram whose daemon was started then.
func newTiming(d *prometheus.Desc, s *histogram.Snapshot, started time.Time) prometheus.Metric {
	zero, positive := native(s)
	count, sum := s.Count, s.Sum.Seconds()
	return both{
		must(prometheus.NewConstNativeHistogram(d, count, sum, positive, nil, zero, schema, 0, started)),
		must(prometheus.NewConstHistogramWithCreatedTimestamp(d, count, sum, classic(s), started)),
	}
}

// native puts each bucket whole where its middle belongs: that moves no duration by more than 1/32. So its counters never
// go back, as they would if a bucket were divided.
func native(s *histogram.Snapshot) (zero uint64, positive map[int]int64) {
	positive = map[int]int64{}
	for b, n := range s.Bounds() {
		if middle := (b[0] + b[1]).Seconds() / 2; middle > 0 {
			positive[int(math.Ceil(math.Log2(middle)*(1<<schema)))] += int64(n)
		} else {
			zero += n
		}
	}
	return zero, positive
}

// classic counts what is below each bound, in seconds.
func classic(s *histogram.Snapshot) map[float64]uint64 {
	below := map[float64]uint64{}
	for power := classicFirst; power <= classicLast; power++ {
		below[time.Duration(1<<power).Seconds()] = 0
	}
	for b, n := range s.Bounds() {
		for power := classicFirst; power <= classicLast; power++ {
			if b[1] < 1<<power {
				below[time.Duration(1<<power).Seconds()] += n
			}
		}
	}
	return below
}

func must(m prometheus.Metric, err error) prometheus.Metric {
	if err != nil {
		panic("metrics: " + err.Error())
	}
	return m
}
