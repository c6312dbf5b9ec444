package zram

import (
	"fmt"
	"testing"

	"github.com/zswapd/zswapd/internal/pagegen"
)

const benchPages = 4096 // 16 MiB

// BenchmarkWrite stores pages, each over an older one; BenchmarkRead loads them. batch is the pages of a system call.
func BenchmarkWrite(b *testing.B) { benchmark(b, (*Device).WritePages) }

func BenchmarkRead(b *testing.B) { benchmark(b, (*Device).ReadPages) }

func benchmark(b *testing.B, call func(*Device, int64, []byte) error) {
	for _, algorithm := range []string{"lz4", "lzo-rle"} {
		for _, kind := range []pagegen.Kind{pagegen.Java, pagegen.Python, pagegen.JSON, pagegen.Sparse} {
			for _, batch := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("codec=%s/pages=%v/batch=%d", algorithm, kind, batch), func(b *testing.B) {
					d := newDevice(b, algorithm, benchPages)
					pages := newBuffer(b, benchPages)
					fill(pages, pagegen.Only(kind), 0)
					must(b, d.WritePages(0, pages))
					b.SetBytes(PageSize)
					b.ReportAllocs()
					b.ResetTimer()
					for n := 0; n < b.N; n += batch {
						first := n % benchPages
						count := min(batch, b.N-n)
						must(b, call(d, int64(first), pages[first*PageSize:][:count*PageSize]))
					}
				})
			}
		}
	}
}
