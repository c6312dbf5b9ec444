package zpool

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/backing"
)

var dirFlag = flag.String("dir", "", "folder on the disk that BenchmarkWriteBack writes to; default a temporary one")

// BenchmarkWriteBack writes all pages of the corpora back, as they came in and packed again, a step at a time; after each step
// fio writes as many bytes to the same disk, in sequence, eight writes of 1 MiB at a time, past the page cache, with a sync at the
// end: what the disk can do at that moment. of-fio-% is our rate over fio's. written/compressed is bytes of the file over bytes of
// the objects. Loads of one page each, anywhere in the file, come last.
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
	rival := newFio(b, filepath.Join(dir, "fio"))
	var ours, disk time.Duration
	var did Written
	before := p.Stats().CompressedBytes
	for more := true; more; {
		began, written := time.Now(), p.Stats().Backing.WrittenBytes
		var d Written
		d, more, err = p.WriteBack(1, 1, 4*backing.BatchBytes)
		noErr(b, err)
		ours += time.Since(began)
		did.add(d)
		disk += rival.write(int64(p.Stats().Backing.WrittenBytes - written))
	}
	s := p.Stats()
	written := float64(s.Backing.WrittenBytes)
	b.ReportMetric(written/1e6/ours.Seconds(), "MB/s")
	b.ReportMetric(written/1e6/disk.Seconds(), "fio-MB/s")
	b.ReportMetric(100*disk.Seconds()/ours.Seconds(), "of-fio-%")
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

// fio is a file that fio writes, to tell what a disk can do.
type fio struct {
	b    *testing.B
	path string
}

func newFio(b *testing.B, path string) *fio {
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("the disk's rate is measured with fio: ", err)
	}
	return &fio{b, path}
}

// write has fio write so many bytes to a new file, as ours is one, and says how long they took.
func (f *fio) write(bytes int64) time.Duration {
	f.b.Helper()
	out, err := exec.Command("fio", "--name=sequential", "--filename="+f.path, "--rw=write", "--bs=1M", "--direct=1", "--ioengine=libaio",
		"--iodepth=8", "--end_fsync=1", "--unlink=1", "--output-format=json", fmt.Sprint("--size=", (bytes+1<<20-1)>>20<<20)).Output()
	noErr(f.b, err)
	var said struct {
		Jobs []struct {
			Write struct {
				Bytes   int64 `json:"io_bytes"`
				Runtime int64 // ms
			}
		}
	}
	noErr(f.b, json.Unmarshal(out, &said))
	w := said.Jobs[0].Write
	return time.Duration(w.Runtime) * time.Millisecond * time.Duration(bytes) / time.Duration(w.Bytes)
}
