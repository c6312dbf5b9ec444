package backing

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var dirFlag = flag.String("dir", "", "folder, on the disk to be measured, for BenchmarkWrite and BenchmarkRead; default a temporary one")

func benchDir(b *testing.B) string {
	if *dirFlag != "" {
		dir, err := os.MkdirTemp(*dirFlag, "zswapd-bench")
		noErr(b, err)
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return b.TempDir()
}

// BenchmarkWrite writes batches of objects, in turn with the same bytes written by themselves, sequentially and directly, with
// the same syncs: what the disk does at most. "of-disk-%" is the one over the other.
func BenchmarkWrite(b *testing.B) {
	for _, bytes := range []int64{BatchBytes, 2 << 20} {
		b.Run(fmt.Sprintf("batch=%dMiB", bytes>>20), func(b *testing.B) {
			dir := benchDir(b)
			const size = 512 * ExtentBytes
			w := newOwnerIn(b, dir, Options{Bytes: size})
			raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
			noErr(b, err)
			defer raw.Close()
			noErr(b, raw.Truncate(size))
			d, page, buffer, at := &fileDisk{fd: int(raw.Fd())}, make([]byte, 1200), aligned(ExtentBytes), int64(0)
			var ours, disk time.Duration
			var payload, written int64
			for b.Loop() {
				began, before := time.Now(), w.f.Stats().WrittenBytes
				batch, err := w.f.Begin(bytes, false)
				noErr(b, err)
				for {
					p, ok := batch.Add(Object{}, page, 1)
					if !ok {
						break
					}
					payload += int64(len(page))
					w.f.Free(p)
				}
				noErr(b, batch.Flush())
				ours += time.Since(began)
				n := int64(w.f.Stats().WrittenBytes - before)
				written += n
				began = time.Now()
				for m := int64(0); m < n; m += ExtentBytes {
					noErr(b, d.writeAt(buffer, at))
					at = (at + ExtentBytes) % size
				}
				noErr(b, d.sync())
				disk += time.Since(began) * time.Duration(n) / time.Duration((n+ExtentBytes-1)/ExtentBytes*ExtentBytes)
			}
			b.ReportMetric(float64(written)/1e6/ours.Seconds(), "MB/s")
			b.ReportMetric(float64(written)/1e6/disk.Seconds(), "disk-MB/s")
			b.ReportMetric(100*disk.Seconds()/ours.Seconds(), "of-disk-%")
			b.ReportMetric(float64(written)/float64(payload), "written/payload")
		})
	}
}

// BenchmarkRead reads objects anywhere in the file, one at a time.
func BenchmarkRead(b *testing.B) {
	w, r := newOwnerIn(b, benchDir(b), Options{Bytes: 128 * ExtentBytes}), newRand(b)
	for range 10 {
		_, err := w.write(r, BatchBytes)
		noErr(b, err)
	}
	var places []Place
	for p := range w.has {
		places = append(places, p)
	}
	for b.Loop() {
		noErr(b, w.f.Read(places[r.IntN(len(places))], func(Object, []byte) error { return nil }))
	}
}
