package trace

import (
	"io"
	"os"
	"testing"
	"time"
)

// BenchmarkWrite is what a page costs the goroutine that writes: how many pages a second can be recorded for long.
func BenchmarkWrite(b *testing.B) {
	all := pages(1, 0, 4096)
	for _, keep := range []bool{true, false} {
		name := "pages"
		if !keep {
			name = "sizes"
		}
		b.Run("keep="+name, func(b *testing.B) {
			w, err := NewWriter(io.Discard, Meta{Slots: 1 << 30, Compressor: "minlz", Pages: keep})
			must(b, err)
			b.SetBytes(PageSize)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				page := all[i%len(all)]
				page[i%PageSize]++
				must(b, w.Write(&Event{Op: Store, First: uint64(i % (1 << 20)), Count: 1, Pages: all[i%len(all) : i%len(all)+1]}))
			}
		})
	}
}

// BenchmarkRecord is what recording adds to a call that a thread serves: a page that goes out is copied, one that comes in
// is not.
func BenchmarkRecord(b *testing.B) {
	for op, call := range map[string]func(Pool, []byte) error{
		"store": func(p Pool, page []byte) error { return p.Store(7, page) },
		"load":  func(p Pool, page []byte) error { return p.Load(7, page) },
	} {
		b.Run("op="+op, func(b *testing.B) {
			f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			must(b, err)
			r, err := newRecorder(f, Meta{Slots: 1 << 20, Pages: true}, ringEvents, ringPages)
			must(b, err)
			p, all := r.Wrap(memory{}), pages(1, 0, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i%4096 == 0 { // never so fast that there is no room, which would be cheaper
					b.StopTimer()
					for !r.ring.empty() {
						time.Sleep(time.Millisecond)
					}
					b.StartTimer()
				}
				must(b, call(p, all[i%4096]))
			}
			b.StopTimer()
			s, err := r.Close()
			must(b, err)
			if s.Lost.Events > 0 {
				b.Errorf("%d events were lost", s.Lost.Events)
			}
		})
	}
}
