package compressor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pageSize = 4096

var (
	corpusDir = flag.String("corpus", "", "benchmark on the raw pages in `DIR`/*.bin instead of made-up ones")
	unitBytes = flag.Int("unit", pageSize, "benchmark on units of this many bytes: a page or a cluster of pages")
)

// A corpus is a run of units of *unitBytes each.
type corpus struct {
	name  string
	units [][]byte
}

// corpora loads DIR/*.bin, or makes 64 units of the kinds that compress.
func corpora(b *testing.B) []corpus {
	var all []corpus
	if *corpusDir == "" {
		for _, k := range pageKinds {
			all = append(all, cut(k.name, makePage(k.fill, 64**unitBytes)))
		}
		return all
	}
	files, err := filepath.Glob(filepath.Join(*corpusDir, "*.bin"))
	if err != nil || len(files) == 0 {
		b.Fatalf("-corpus %s: no *.bin: %v", *corpusDir, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, cut(strings.TrimSuffix(filepath.Base(file), ".bin"), data))
	}
	return all
}

func cut(name string, data []byte) corpus {
	c := corpus{name: name}
	for ; len(data) >= *unitBytes; data = data[*unitBytes:] {
		c.units = append(c.units, data[:*unitBytes])
	}
	return c
}

// forEachCase runs bench for each codec and corpus. objects are the compressed units; one that did not get shorter is
// there as it is, with ID Raw. The metric "ratio" is bytes in by bytes kept.
func forEachCase(b *testing.B, bench func(b *testing.B, c Codec, units, objects [][]byte)) {
	all := corpora(b)
	for _, name := range Names() {
		if name == "none" {
			continue
		}
		c, err := New(name)
		if err != nil {
			b.Fatal(err)
		}
		for _, corpus := range all {
			b.Run(fmt.Sprintf("codec=%s/page=%s", name, corpus.name), func(b *testing.B) {
				objects, kept := make([][]byte, len(corpus.units)), 0
				dst := make([]byte, c.MaxLen(*unitBytes))
				for i, u := range corpus.units {
					objects[i] = u
					if n := c.Compress(dst, u); n > 0 {
						objects[i] = append([]byte(nil), dst[:n]...)
					}
					kept += len(objects[i])
				}
				b.SetBytes(int64(*unitBytes))
				b.ReportAllocs()
				bench(b, c, corpus.units, objects)
				b.ReportMetric(float64(len(corpus.units)**unitBytes)/float64(kept), "ratio")
			})
		}
	}
}

// BenchmarkCompress times one unit; the ratio is over all of them.
func BenchmarkCompress(b *testing.B) {
	forEachCase(b, func(b *testing.B, c Codec, units, _ [][]byte) {
		dst := make([]byte, c.MaxLen(*unitBytes))
		for i := 0; b.Loop(); i++ {
			c.Compress(dst, units[i%len(units)])
		}
	})
}

// BenchmarkDecompress times one unit, copies of incompressible ones included.
func BenchmarkDecompress(b *testing.B) {
	d := NewDecoders()
	forEachCase(b, func(b *testing.B, c Codec, _, objects [][]byte) {
		dst := make([]byte, *unitBytes)
		for i := 0; b.Loop(); i++ {
			o := objects[i%len(objects)]
			id := c.ID()
			if len(o) == len(dst) {
				id = Raw
			}
			if err := d.Decompress(id, dst, o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
