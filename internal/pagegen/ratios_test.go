package pagegen

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/minio/minlz"
	"github.com/pierrec/lz4/v4"
)

var corpus = flag.String("corpus", "", "folder with captured pages, *.bin, to print the ratios of as well")

// captured has the ratios of lz4, minlz and zstd, each at its fastest, for pages that are not same-filled, as this test
// prints them:
//
//   - the first 24 MiB, in the order of addresses, of the resident anonymous pages of live processes, stacks left out:
//     a HashMap of 50,000 strings to lists of 200,000 Integers (java -Xmx256m), 150,000 objects of six fields (node),
//     60,000 dictionaries of four values (python), and what redis-benchmark -n 100000 -r 100000 -d 200 -t set,hset,lpush
//     leaves (redis);
//   - 4 KiB pieces of the documents, of the JSON files and of the executables' instructions on a development machine;
//   - sparse: the heaps' pages of which more than three quarters, but not all, is zero.
var captured = map[Kind][3]float64{
	Java: {2.81, 3.31, 4.65}, Node: {2.81, 3.48, 5.44}, Python: {3.01, 3.67, 5.77},
	Text: {1.78, 1.93, 2.53}, JSON: {3.22, 3.53, 4.42}, Code: {1.37, 1.49, 1.66}, Sparse: {6.68, 7.54, 9.45},
	Random: {1, 1, 1}, Redis: {8.43, 9.24, 10.98},
}

// sizes sums what the codecs make of pages, in bytes. Same-filled pages are left out.
type sizes struct {
	zstd                         *zstd.Encoder
	lz4                          lz4.Compressor
	buf                          []byte
	pages, same                  int
	byLZ4, byMinLZ, byZstd, by16 int // by16: zstd, in units of four pages
}

func newSizes(t *testing.T) *sizes {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	must(t, err)
	t.Cleanup(func() { e.Close() })
	return &sizes{zstd: e, buf: make([]byte, 1<<16)}
}

func (s *sizes) add(t *testing.T, unit []byte) {
	var kept []byte
	for page := range slices.Chunk(unit, PageSize) {
		if bytes.Equal(page[8:], page[:PageSize-8]) {
			s.same++
			continue
		}
		kept = append(kept, page...)
		n, err := s.lz4.CompressBlock(page, s.buf)
		must(t, err)
		if n == 0 { // lz4's word for incompressible
			n = PageSize
		}
		m, err := minlz.Encode(s.buf[:0], page, minlz.LevelFastest)
		must(t, err)
		s.pages++
		s.byLZ4 += min(n, PageSize)
		s.byMinLZ += min(len(m), PageSize)
		s.byZstd += min(len(s.zstd.EncodeAll(page, s.buf[:0])), PageSize)
	}
	s.by16 += min(len(s.zstd.EncodeAll(kept, s.buf[:0])), len(kept))
}

// ratios prints one line and returns the ratios of lz4, minlz and zstd.
func (s *sizes) ratios(t *testing.T, name string) [3]float64 {
	b := float64(s.pages * PageSize)
	r := [3]float64{b / float64(s.byLZ4), b / float64(s.byMinLZ), b / float64(s.byZstd)}
	t.Logf("%-11s %5d pages, %3d same-filled left out: lz4 %5.2f  minlz %5.2f  zstd %5.2f  zstd of 16 KiB %5.2f",
		name, s.pages, s.same, r[0], r[1], r[2], b/float64(s.by16))
	return r
}

func generated(t *testing.T, m Mix, pages uint64) *sizes {
	src, s := Source{Mix: m, Seed: 1}, newSizes(t)
	unit := make([]byte, 4*PageSize)
	for index := range pages {
		src.Fill(unit[index%4*PageSize:][:PageSize], index, 0)
		if index%4 == 3 {
			s.add(t, unit)
		}
	}
	return s
}

// Every kind compresses as what it imitates does, within 10 %, with each of three codecs. To see the figures:
//
//	go test -v -run Ratios ./internal/pagegen -corpus DIR
func TestRatios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(*corpus, "*.bin"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		s := newSizes(t)
		for unit := range slices.Chunk(b[:len(b)/PageSize*PageSize], 4*PageSize) {
			s.add(t, unit)
		}
		s.ratios(t, filepath.Base(f))
	}
	pages := uint64(480) // 30 themes
	if len(files) > 0 {
		pages = 6144
	}
	for k := range Kinds {
		if k == Same {
			continue
		}
		got := generated(t, Only(k), pages).ratios(t, k.String())
		for i, want := range captured[k] {
			if math.Abs(got[i]/want-1) > 0.1 {
				t.Errorf("%v: ratio %.2f, captured pages %.2f", k, got[i], want)
			}
		}
	}
	if len(files) > 0 {
		generated(t, Typical, pages).ratios(t, "typical")
	}
}
