package estimate

import (
	"flag"
	"hash/maphash"
	"os"
	"testing"

	"github.com/zswapd/zswapd/internal/capturetest"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; read the difference")

func TestMain(m *testing.M) {
	capturetest.Main()
	os.Exit(m.Run())
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sampleOf makes a sample of pages of package pagegen, in runs of 16.
func sampleOf(t testing.TB, mix string, pages int) *sample {
	t.Helper()
	s, err := newSample(2 * int64(pages) * pageSize)
	noErr(t, err)
	t.Cleanup(func() { noErr(t, s.close()) })
	seen, hash := map[uint64]struct{}{}, maphash.MakeSeed()
	for first := 0; first < pages; first += 16 {
		var run []byte
		for i := first; i < min(first+16, pages); i++ {
			run = append(run, capturetest.Page(mix, i)...)
		}
		s.add(run, seen, hash)
	}
	return s
}
