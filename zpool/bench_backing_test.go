package zpool

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
)

var dirFlag = flag.String("dir", "", "folder on the disk that BenchmarkWriteBack writes to; default a temporary one")

// BenchmarkWriteBack writes all pages of the corpora back, as they came in and packed again, a step at a time; after each step
// the disk is given as many bytes by themselves, in writes of 1 MiB, past the page cache, with one sync, which is what it can do
// at that moment. of-disk-% is the time of that over ours. written/compressed is bytes of the file over bytes of the objects.
// Loads of one page each, anywhere in the file, come last.
func BenchmarkWriteBack(b *testing.B) {
	all := corpora(b)
	for _, pack := range []bool{false, true} {
		b.Run(fmt.Sprintf("packed=%t", pack), func(b *testing.B) {
			for b.Loop() {
				benchmarkWriteBack(b, all, pack)
			}
		})
	}
}

func benchmarkWriteBack(b *testing.B, all []corpus, pack bool) {
	dir, err := os.MkdirTemp(*dirFlag, "zswapd-bench")
	noErr(b, err)
	defer os.RemoveAll(dir)
	p, err := New(Options{Slots: 1 << 20, MaxBytes: 1 << 30})
	noErr(b, err)
	defer p.Close()
	w, slots := p.NewWorker(), uint64(0)
	for _, c := range all {
		noErr(b, w.Store(slots, c.pages))
		slots += uint64(len(c.pages) / PageSize)
	}
	p.Tick()
	for more := pack; more; {
		_, more, err = p.Recompress(0, 1000)
		noErr(b, err)
	}
	noErr(b, p.AddBacking(BackingOptions{Path: dir, Bytes: 2 << 30}))
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
	noErr(b, err)
	defer raw.Close()
	noErr(b, raw.Truncate(2<<30))
	chunk, err := unix.Mmap(-1, 0, backing.ExtentBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	noErr(b, err)
	defer unix.Munmap(chunk)
	var ours, disk time.Duration
	var did Written
	before, at := p.Stats().CompressedBytes, int64(0)
	for more := true; more; {
		began, written := time.Now(), p.Stats().Backing.WrittenBytes
		var d Written
		d, more, err = p.WriteBack(1, 1, 4*backing.BatchBytes)
		noErr(b, err)
		ours += time.Since(began)
		did.add(d)
		began = time.Now()
		for left := int64(p.Stats().Backing.WrittenBytes - written); left > 0; left -= backing.ExtentBytes {
			n := min(left, backing.ExtentBytes)
			_, err := raw.WriteAt(chunk[:n], at)
			noErr(b, err)
			at += backing.ExtentBytes
		}
		noErr(b, unix.Fdatasync(int(raw.Fd())))
		disk += time.Since(began)
	}
	s := p.Stats()
	written := float64(s.Backing.WrittenBytes)
	b.ReportMetric(written/1e6/ours.Seconds(), "MB/s")
	b.ReportMetric(written/1e6/disk.Seconds(), "disk-MB/s")
	b.ReportMetric(100*disk.Seconds()/ours.Seconds(), "of-disk-%")
	b.ReportMetric(written/float64(before-s.CompressedBytes), "written/compressed")
	b.ReportMetric(float64(did.Pages), "pages")
	r, got := newRand(b), make([]byte, PageSize)
	for range 3000 {
		noErr(b, w.Load(r.Uint64N(slots), got))
	}
	loads := p.Stats().DiskLoadTime
	b.ReportMetric(float64(loads.Quantile(0.5).Microseconds()), "load-p50-µs")
	b.ReportMetric(float64(loads.Quantile(0.99).Microseconds()), "load-p99-µs")
}
