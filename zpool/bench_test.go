package zpool

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Pages for the benchmarks come from files of raw 4 KiB pages, one corpus a file:
//
//	go test ./zpool -run xxx -bench . -corpus DIR
var corpusFlag = flag.String("corpus", "", "directory of *.bin files of raw pages for the benchmarks")

type corpus struct {
	name  string
	pages []byte
}

func corpora(b *testing.B) (all []corpus) {
	files, err := filepath.Glob(filepath.Join(*corpusFlag, "*.bin"))
	if *corpusFlag == "" || err != nil || len(files) == 0 {
		b.Skip("no -corpus with *.bin files of raw pages")
	}
	for _, f := range files {
		pages, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, corpus{strings.TrimSuffix(filepath.Base(f), ".bin"), pages[:len(pages)/PageSize*PageSize]})
	}
	return all
}

// BenchmarkDensity stores all corpora together and reports what the pool takes beyond the compressed bytes, for each
// chain length: %over for all memory, and metadata per page.
func BenchmarkDensity(b *testing.B) {
	all := corpora(b)
	for _, codec := range []string{"minlz", "zstd"} {
		for _, chain := range []int{4, 8, 12, 16} {
			b.Run(fmt.Sprintf("codec=%s/chain=%d", codec, chain), func(b *testing.B) {
				for b.Loop() {
					p, err := New(Options{Slots: 1 << 20, MaxBytes: 1 << 30, ChainSize: chain, Compressor: codec})
					if err != nil {
						b.Fatal(err)
					}
					w, slot := p.NewWorker(), uint64(0)
					for _, c := range all {
						if err := w.Store(slot, c.pages); err != nil {
							b.Fatal(err)
						}
						slot += uint64(len(c.pages) / PageSize)
					}
					s, zs := p.Stats(), p.zs.Stats()
					report := func(v float64, unit string) { b.ReportMetric(v, unit) }
					report(100*(float64(s.MemoryBytes)/float64(s.CompressedBytes)-1), "%over")
					report(s.Ratio(), "ratio")
					report(float64(s.CompressedBytes)/(1<<20), "MiB-compressed")
					report(100*float64(zs.Frames*PageSize)/float64(s.CompressedBytes)-100, "%frames-over")
					report(float64(s.MemoryBytes-int64(zs.Frames*PageSize))/float64(s.StoredPages)+8, "metadata-B/page")
					report(100*float64(s.SameFilledPages)/float64(s.StoredPages), "%same-filled")
					report(100*float64(s.IncompressiblePages)/float64(s.StoredPages), "%raw")
					if err := p.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkStore and BenchmarkLoad are the time of one page on one worker, in a pool that has the corpus already.
func BenchmarkStore(b *testing.B) {
	benchmarkPages(b, func(w *Worker, slot uint64, page []byte) error { return w.Store(slot, page) })
}

func BenchmarkLoad(b *testing.B) {
	buf := make([]byte, PageSize)
	benchmarkPages(b, func(w *Worker, slot uint64, _ []byte) error { return w.Load(slot, buf) })
}

func benchmarkPages(b *testing.B, call func(w *Worker, slot uint64, page []byte) error) {
	for _, c := range corpora(b) {
		b.Run("corpus="+c.name, func(b *testing.B) {
			n := uint64(len(c.pages) / PageSize)
			p, err := New(Options{Slots: n, MaxBytes: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			w := p.NewWorker()
			if err := w.Store(0, c.pages); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(PageSize)
			b.ReportAllocs()
			slot := uint64(0)
			for b.Loop() {
				if err := call(w, slot, c.pages[slot*PageSize:][:PageSize]); err != nil {
					b.Fatal(err)
				}
				slot = (slot + 1) % n
			}
		})
	}
}

// BenchmarkTiersBeside is the time of stores over older pages and of loads in a pool that ages, packs and compacts by itself, with a
// backing file, over that in one that does nothing of the kind: blocks of pages by turns. Nothing is idle for long enough to leave.
func BenchmarkTiersBeside(b *testing.B) {
	for _, c := range corpora(b) {
		b.Run("corpus="+c.name, func(b *testing.B) {
			n := uint64(len(c.pages) / PageSize)
			open := func(background *Background) *Worker {
				p, err := New(Options{Slots: n, MaxBytes: 1 << 30, Background: background})
				noErr(b, err)
				b.Cleanup(func() { noErr(b, p.Close()) })
				if background != nil {
					noErr(b, p.AddBacking(BackingOptions{Path: b.TempDir(), Bytes: 64 << 20}))
				}
				w := p.NewWorker()
				noErr(b, w.Store(0, c.pages))
				return w
			}
			workers := [2]*Worker{open(nil), open(&Background{})}
			var stores, loads [2]time.Duration
			const block = 256
			buf, first, turn := make([]byte, block*PageSize), uint64(0), 0
			for b.Loop() {
				for range workers {
					w, pages := workers[turn], c.pages[first*PageSize:][:block*PageSize]
					began := time.Now()
					noErr(b, w.Store(first, pages))
					stored := time.Now()
					noErr(b, w.Load(first, buf))
					stores[turn] += stored.Sub(began)
					loads[turn] += time.Since(stored)
					turn = 1 - turn
				}
				turn = 1 - turn // the other one is first
				first = (first + block) % (n - block)
			}
			b.ReportMetric(100*stores[1].Seconds()/stores[0].Seconds(), "store-%")
			b.ReportMetric(100*loads[1].Seconds()/loads[0].Seconds(), "load-%")
		})
	}
}
