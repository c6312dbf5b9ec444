package trace

import (
	"io"
	"testing"
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
			for i := range b.N {
				page := all[i%len(all)]
				page[i%PageSize]++
				must(b, w.Write(&Event{Op: Store, First: uint64(i % (1 << 20)), Count: 1, Pages: all[i%len(all) : i%len(all)+1]}))
			}
		})
	}
}
