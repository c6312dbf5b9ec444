package zpool

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/pagegen"
)

// openMiB is how much BenchmarkOpen stores:
//
//	go test ./zpool -run xxx -bench Open -benchtime 10x -cpu 1,2 -open-mib 1024
var openMiB = flag.Uint64("open-mib", 256, "MiB of pages in the stores that BenchmarkOpen opens")

// BenchmarkOpen is what the successor of a killed process waits for: the store is mapped anew each time, so that first touches
// cost what they cost there. new: stored in the order of the slots; used: then half of it again, in random order, and compacted;
// packed: then a third of the pages as those are packed that are cold.
func BenchmarkOpen(b *testing.B) {
	pages := *openMiB << 20 / PageSize
	p, err := New(Options{Slots: pages, MaxBytes: int64(pages)*PageSize*2 + 1<<20})
	noErr(b, err)
	defer func() { noErr(b, p.Close()) }()
	if p.File() == nil {
		b.Skip("a store in Go memory cannot be mapped anew")
	}
	w, r, page := p.NewWorker(), rand.New(rand.NewPCG(1, 2)), make([]byte, PageSize)
	source := &pagegen.Source{Mix: pagegen.Typical, Seed: 1}
	put := func(slot, version uint64) {
		source.Fill(page, slot, version)
		noErr(b, w.Store(slot, page))
	}
	for slot := range pages {
		put(slot, 0)
	}
	b.Run("store=new", func(b *testing.B) { p = benchmarkOpen(b, p) })
	w = p.NewWorker()
	for range pages / 2 {
		put(r.Uint64N(pages), 1)
	}
	compactAll(p)
	b.Run("store=used", func(b *testing.B) { p = benchmarkOpen(b, p) })
	w = p.NewWorker()
	p.Tick()
	for range pages {
		noErr(b, w.Load(r.Uint64N(pages), page)) // two thirds are not idle
	}
	for more := true; more; {
		_, more, err = p.Recompress(0, int(pages))
		noErr(b, err)
	}
	compactAll(p)
	b.Run("store=packed", func(b *testing.B) { p = benchmarkOpen(b, p) })
}

func compactAll(p *Pool) {
	for more := true; more; {
		_, more = p.Compact(1 << 30)
	}
	p.Trim()
}

// benchmarkOpen opens the store of p again and again, and returns the pool that it is in then.
func benchmarkOpen(b *testing.B, p *Pool) *Pool {
	want, used, n := uint64(p.Stats().StoredPages), time.Duration(0), 0
	for b.Loop() {
		b.StopTimer()
		fd, err := unix.FcntlInt(p.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
		noErr(b, errors.Join(err, p.Close()))
		begin, o := processTime(b), Options{MaxBytes: p.Stats().LimitBytes}
		b.StartTimer()
		found := Recovered{}
		p, found, err = Open(os.NewFile(uintptr(fd), "store"), o)
		b.StopTimer()
		noErr(b, err)
		used, n = used+processTime(b)-begin, n+1
		if found.Pages != want || found.Lost+found.Unclaimed != 0 {
			b.Fatalf("%+v of %d pages", found, want)
		}
		b.StartTimer()
	}
	gib := float64(n) * float64(want) * PageSize / (1 << 30)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/gib, "ms/GiB")
	b.ReportMetric(float64(used.Microseconds())/1000/gib, "cpu-ms/GiB")
	return p
}

// processTime is the CPU time of all threads so far.
func processTime(b *testing.B) time.Duration {
	var u unix.Rusage
	noErr(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
