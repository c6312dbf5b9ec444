package zram

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
// zram gets 64 pages a system call, which shows it at its best; the pool gets them one by one, as faults come. store is
// into an empty pool or device, restore over what is there; restore1 and load1 are zram with a page a call; over is all
// memory over compressed bytes, in percent.
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
				for _, what := range []string{"store", "restore", "load"} {
					geo[what] += math.Log(v["zram-"+what+"-ns"] / v[what+"-ns"])
				}
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

// A block of pages goes to one side and then to the other, so that both meet the same noise of the machine.
const blockPages = 8 * BatchPages

// blockTimes has, for each thing measured and each block, the time per page of each round.
type blockTimes map[string][][]float64

// add times calls for a block of pages, step pages a call.
func (t blockTimes) add(b *testing.B, what string, block, step int, pages []byte, call func(first int, pages []byte) error) {
	first, n := block*blockPages, len(pages)/PageSize
	begin := time.Now()
	for i := 0; i < n; i += step {
		if err := call(first+i, pages[i*PageSize:min(i+step, n)*PageSize]); err != nil {
			b.Fatal(err)
		}
	}
	for len(t[what]) <= block {
		t[what] = append(t[what], nil)
	}
	t[what][block] = append(t[what][block], float64(time.Since(begin).Nanoseconds())/float64(n))
}

// perPage returns the mean over blocks of the median over rounds, in nanoseconds.
func (t blockTimes) perPage(what string) (ns float64) {
	for _, rounds := range t[what] {
		slices.Sort(rounds)
		ns += rounds[len(rounds)/2] / float64(len(t[what]))
	}
	return ns
}

// onOneCPU keeps the calling goroutine on the CPU where it is: a thread that the scheduler moves finds cold caches.
func onOneCPU(b *testing.B) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	must(b, unix.SchedGetaffinity(0, &before))
	one.Set(firstCPU(&before))
	must(b, unix.SchedSetaffinity(0, &one))
	b.Cleanup(func() {
		must(b, unix.SchedSetaffinity(0, &before))
		runtime.UnlockOSThread()
	})
}

func firstCPU(set *unix.CPUSet) (cpu int) {
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
}

func versus(b *testing.B, pages []byte) map[string]float64 {
	n := len(pages) / PageSize
	onOneCPU(b)
	times, out := blockTimes{}, map[string]float64{}
	got := newBuffer(b, n)
	blocks := func(call func(block int, in, out []byte)) {
		for block := 0; block*blockPages < n; block++ {
			from, to := block*blockPages*PageSize, min((block+1)*blockPages, n)*PageSize
			call(block, pages[from:to], got[from:to])
		}
	}
	for range rounds {
		d := newDevice(b, "lz4", int64(n))
		p, err := zpool.New(zpool.Options{Slots: uint64(n), MaxBytes: int64(len(pages)) + 16<<20})
		must(b, err)
		w := p.NewWorker()
		write := func(first int, b []byte) error { return d.WritePages(int64(first), b) }
		read := func(first int, b []byte) error { return d.ReadPages(int64(first), b) }
		store := func(first int, b []byte) error { return w.Store(uint64(first), b) }
		load := func(first int, b []byte) error { return w.Load(uint64(first), b) }
		blocks(func(block int, in, _ []byte) {
			times.add(b, "zram-store", block, BatchPages, in, write)
			times.add(b, "store", block, 1, in, store)
		})
		st := p.Stats()
		s, err := d.Stats()
		must(b, err)
		blocks(func(block int, in, out []byte) {
			times.add(b, "zram-load", block, BatchPages, out, read)
			clear(out)
			times.add(b, "load", block, 1, out, load)
			times.add(b, "zram-load1", block, 1, out, read)
			if !bytes.Equal(in, out) {
				b.Fatal("the pool changed a page")
			}
		})
		blocks(func(block int, in, _ []byte) { // over what is there
			times.add(b, "zram-restore", block, BatchPages, in, write)
			times.add(b, "restore", block, 1, in, store)
			times.add(b, "zram-restore1", block, 1, in, write)
		})
		all := float64(n * PageSize)
		out["zram-ratio"], out["ratio"] = all/float64(s.ComprDataSize), all/float64(st.CompressedBytes)
		out["zram-effective"], out["effective"] = all/float64(s.MemoryBytes()), all/float64(st.MemoryBytes)
		out["%over"] = 100*float64(st.MemoryBytes)/float64(st.CompressedBytes) - 100
		out["%same-filled"] = 100 * float64(st.SameFilledPages) / float64(n)
		must(b, d.Remove())
		must(b, p.Close())
	}
	for what := range times {
		out[what+"-ns"] = times.perPage(what)
	}
	return out
}
