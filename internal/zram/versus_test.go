package zram

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/zpool"
)

var corpusFlag = flag.String("corpus", "", "directory of *.bin files of raw pages for BenchmarkVersus; without it, generated pages")

// rounds is how often BenchmarkVersus measures each side, in turn; it reports medians.
const rounds = 7

// BenchmarkVersus stores and loads the same pages in a new pool and on a new zram device, in turn, on one thread:
//
//	sudo go test ./internal/zram -run xxx -bench Versus -benchtime 1x -corpus DIR
//
// zram gets 64 pages a system call, which shows it at its best; the pool gets them one by one, as faults come, and in
// the same runs of 64. over is all memory over compressed bytes, in percent.
func BenchmarkVersus(b *testing.B) {
	names, sets := versusPages(b)
	geo := map[string]float64{}
	for i, name := range names {
		b.Run("corpus="+name, func(b *testing.B) {
			for b.Loop() {
				v := versus(b, sets[i])
				for unit, value := range v {
					b.ReportMetric(value, unit)
				}
				geo["store"] += math.Log(v["zram-store-ns"] / v["store-ns"])
				geo["load"] += math.Log(v["zram-load-ns"] / v["load-ns"])
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	for what, sum := range geo {
		b.Logf("%s: %.2f times zram lz4's pages per second, geometric mean over %d corpora", what, math.Exp(sum/float64(len(names))), len(names))
	}
}

func versusPages(b *testing.B) (names []string, sets [][]byte) {
	if *corpusFlag == "" {
		pages := newBuffer(b, 4096)
		fill(pages, pagegen.Typical, 0)
		return []string{"generated"}, [][]byte{pages}
	}
	files, _ := filepath.Glob(filepath.Join(*corpusFlag, "*.bin"))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		must(b, err)
		pages := newBuffer(b, len(raw)/PageSize)
		copy(pages, raw)
		names, sets = append(names, strings.TrimSuffix(filepath.Base(f), ".bin")), append(sets, pages)
	}
	return names, sets
}

func versus(b *testing.B, pages []byte) map[string]float64 {
	n := len(pages) / PageSize
	times := map[string][]float64{}
	out := map[string]float64{}
	got := newBuffer(b, n)
	measure := func(unit string, step int, call func(first int, pages []byte) error, buf []byte) {
		begin := time.Now()
		for first := 0; first < n; first += step {
			must(b, call(first, buf[first*PageSize:min(first+step, n)*PageSize]))
		}
		times[unit] = append(times[unit], float64(time.Since(begin).Nanoseconds())/float64(n))
	}
	for range rounds {
		d := newDevice(b, "lz4", int64(n))
		measure("zram-store-ns", BatchPages, func(first int, p []byte) error { return d.WritePages(int64(first), p) }, pages)
		measure("zram-load-ns", BatchPages, func(first int, p []byte) error { return d.ReadPages(int64(first), p) }, got)
		s, err := d.Stats()
		must(b, err)
		out["zram-ratio"] = float64(n*PageSize) / float64(s.ComprDataSize)
		out["zram-effective"] = float64(n*PageSize) / float64(s.MemoryBytes())
		must(b, d.Remove())

		p, err := zpool.New(zpool.Options{Slots: uint64(n), MaxBytes: int64(len(pages)) + 16<<20})
		must(b, err)
		w := p.NewWorker()
		store := func(first int, b []byte) error { return w.Store(uint64(first), b) }
		load := func(first int, b []byte) error { return w.Load(uint64(first), b) }
		measure("store-ns", 1, store, pages)
		st := p.Stats()
		clear(got)
		measure("load-ns", 1, load, got)
		if !bytes.Equal(got, pages) {
			b.Fatal("the pool changed a page")
		}
		measure("load64-ns", BatchPages, load, got)
		measure("restore64-ns", BatchPages, store, pages)
		out["ratio"] = float64(n*PageSize) / float64(st.CompressedBytes)
		out["effective"] = float64(n*PageSize) / float64(st.MemoryBytes)
		out["%over"] = 100*float64(st.MemoryBytes)/float64(st.CompressedBytes) - 100
		out["%same-filled"] = 100 * float64(st.SameFilledPages) / float64(n)
		must(b, p.Close())
	}
	for unit, all := range times {
		slices.Sort(all)
		out[unit] = all[len(all)/2]
	}
	return out
}
