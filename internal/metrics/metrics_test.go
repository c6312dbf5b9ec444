package metrics_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/controltest"
	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/metrics"
)

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scrape asks a handler for the text format.
func scrape(t testing.TB, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func families(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	all, err := p.TextToMetricFamilies(strings.NewReader(text))
	noErr(t, err)
	return all
}

// everything is a daemon with a backing file, so that all metrics are there.
type everything struct{ *controltest.Daemon }

func (e everything) Stats() control.Stats {
	s := e.Daemon.Stats()
	s.Backing = &control.Backing{Path: "/x", SizeBytes: 1 << 30, UsedBytes: 8192, Pages: 5}
	return s
}

func busy(t testing.TB) everything {
	t.Helper()
	d := controltest.New(t, 2048, 1<<20)
	d.Traffic(t, 1500)
	_, err := d.Compact(t.Context())
	noErr(t, err)
	return everything{d}
}

func TestLint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, metrics.Handler(busy(t))))).Lint()
	noErr(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The values are those of the daemon, also of a later moment.
func TestValues(t *testing.T) {
	d := busy(t)
	h := metrics.Handler(d)
	for range 2 {
		d.Traffic(t, 300)
		s, all := d.Stats(), families(t, scrape(t, h))
		value := func(name string, labels ...string) float64 {
			f := all["zswapd_"+name]
			if f == nil {
				t.Fatalf("no %s", name)
			}
			for _, m := range f.Metric {
				var has []string
				for _, l := range m.Label {
					has = append(has, l.GetValue())
				}
				if fmt.Sprint(has) == fmt.Sprint(labels) {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
			t.Fatalf("no %s%v", name, labels)
			return 0
		}
		for name, want := range map[string]float64{
			"stored_pages": float64(s.StoredPages), "same_filled_pages": float64(s.SameFilledPages), "compressed_bytes": float64(s.CompressedBytes),
			"pool_memory_bytes": float64(s.MemoryBytes), "pool_limit_bytes": float64(s.LimitBytes), "held_bytes": float64(s.StoredPages-5) * 4096,
			"store_pages_total": float64(s.Stores), "load_pages_total": float64(s.Loads), "invalidate_pages_total": float64(s.Invalidated),
			"pool_limit_hit_total": float64(s.PoolLimitHit), "migrated_objects_total": float64(s.ObjectsMigrated), "restarts_total": 3,
			"compacted_pages_total": float64(s.PagesCompacted), "swap_size_bytes": 2048 * 4096, "ram_bytes": controltest.RAMBytes, "backing_pages": 5,
		} {
			if got := value(name); got != want || want == 0 {
				t.Errorf("%s %v, want %v, not 0", name, got, want)
			}
		}
		if got := value("rejected_total", "full"); got != float64(s.Rejected["full"]) || got == 0 {
			t.Errorf("rejected: %v", got)
		}
		if value("rejected_total", "compress_poor") != 0 || value("state", "serving") != 1 || value("state", "failing") != 0 {
			t.Error("rejected or state")
		}
		if got := value("tier_pages", s.Tiers[0].Codec, "fast"); got != float64(s.Tiers[0].Pages) {
			t.Errorf("tier: %v", got)
		}
		store := all["zswapd_store_seconds"].Metric[0].Histogram
		if store.GetSampleCount() != s.Store.Count || math.Abs(store.GetSampleSum()-s.Store.Sum.Seconds()) > 1e-9 || len(store.Bucket) < 20 {
			t.Errorf("store_seconds: %v", store)
		}
	}
}

// Whoever understands native histograms gets them.
func TestNativeHistogramsAreOffered(t *testing.T) {
	d := busy(t)
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	w := httptest.NewRecorder()
	metrics.Handler(d).ServeHTTP(w, r)
	s, seen := d.Stats(), 0
	for dec := expfmt.NewDecoder(bytes.NewReader(w.Body.Bytes()), expfmt.ResponseFormat(w.Header())); ; {
		var f dto.MetricFamily
		if dec.Decode(&f) != nil {
			break
		}
		if f.GetName() == "zswapd_load_seconds" {
			seen++
			h := f.Metric[0].Histogram
			var n uint64
			for _, c := range counts(h) {
				n += c
			}
			if h.GetSchema() != 3 || n != s.Load.Count || n == 0 {
				t.Errorf("schema %d, %d in buckets, want %d", h.GetSchema(), n, s.Load.Count)
			}
		}
	}
	if seen != 1 {
		t.Errorf("load_seconds was there %d times", seen)
	}
}

// counts expands the spans and deltas of a native histogram to counts by index.
func counts(h *dto.Histogram) map[int]uint64 {
	all, index, last, i := map[int]uint64{}, 0, int64(0), 0
	for _, span := range h.PositiveSpan {
		index += int(span.GetOffset())
		for range span.GetLength() {
			last += h.PositiveDelta[i]
			all[index] = uint64(last)
			index, i = index+1, i+1
		}
	}
	return all
}

// one is a daemon that tells of one histogram.
type one struct{ h *histogram.Histogram }

func (o one) Info() control.Info   { return control.Info{} }
func (o one) Stats() control.Stats { return control.Stats{Fault: o.h.Snapshot()} }

func gather(t testing.TB, s metrics.Source) *dto.Histogram {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	noErr(t, r.Register(metrics.New(s)))
	all, err := r.Gather()
	noErr(t, err)
	for _, f := range all {
		if f.GetName() == "zswapd_fault_seconds" {
			return f.Metric[0].Histogram
		}
	}
	t.Fatal("no fault_seconds")
	return nil
}

// A duration is in a native bucket whose bounds it does not miss by more than 1/32, and below the right classic bounds.
func TestOneDuration(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 400 {
		d := time.Duration(math.Exp(r.Float64() * 24.9)) // to 65 s
		if i < 40 {
			d = time.Duration(i)
		}
		var h histogram.Histogram
		h.Observe(d)
		got := gather(t, one{&h})
		if d == 0 {
			if got.GetZeroCount() != 1 || len(counts(got)) != 0 {
				t.Fatalf("0: %v", got)
			}
			continue
		}
		for index, n := range counts(got) {
			if n == 0 {
				continue
			}
			upper := math.Exp2(float64(index) / 8)
			lower := math.Exp2(float64(index-1) / 8)
			if v := d.Seconds(); n != 1 || v > upper*(1+1.0/32) || v < lower*(1-1.0/32) {
				t.Fatalf("%v: %d between %v and %v", d, n, lower, upper)
			}
		}
		if len(counts(got)) == 0 || got.GetZeroCount() != 0 {
			t.Fatalf("%v is nowhere: %v", d, got)
		}
		for _, b := range got.Bucket {
			if want := d.Seconds() <= b.GetUpperBound(); (b.GetCumulativeCount() == 1) != want && d.Seconds() != b.GetUpperBound() {
				t.Fatalf("%v: %d below %v", d, b.GetCumulativeCount(), b.GetUpperBound())
			}
		}
	}
}

// No counter goes back when more is counted.
func TestCountersOnlyGrow(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var h histogram.Histogram
	before := gather(t, one{&h})
	for range 50 {
		for range 20 {
			h.ObserveN(time.Duration(math.Exp(r.Float64()*20)), 1+r.Uint64N(3))
		}
		now := gather(t, one{&h})
		later := counts(now)
		for index, n := range counts(before) {
			if later[index] < n {
				t.Fatalf("bucket %d: %d after %d", index, later[index], n)
			}
		}
		for i, b := range before.Bucket {
			if now.Bucket[i].GetCumulativeCount() < b.GetCumulativeCount() || now.Bucket[i].GetUpperBound() != b.GetUpperBound() {
				t.Fatalf("%v after %v", now.Bucket[i], b)
			}
		}
		before = now
	}
}

// Every metric has the project's name, and none is there that Describe does not tell of.
func TestNames(t *testing.T) {
	name := regexp.MustCompile(`^zswapd_[a-z][a-z_]*[a-z]$`)
	r := prometheus.NewPedanticRegistry()
	noErr(t, r.Register(metrics.New(busy(t))))
	all, err := r.Gather()
	noErr(t, err)
	if len(all) < 40 {
		t.Errorf("%d metrics", len(all))
	}
	for _, f := range all {
		if !name.MatchString(f.GetName()) {
			t.Error(f.GetName())
		}
	}
}
