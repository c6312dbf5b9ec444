package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"unicode"
)

// WriteGoBench writes the result as go test writes benchmarks: for each op a line of each round, so that benchstat can say
// how sure a difference is.
func (r *Result) WriteGoBench(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/zswapd/zswapd/internal/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, r.Machine.CPU)
	for i := range r.Rows {
		row := &r.Rows[i]
		name := fmt.Sprintf("BenchmarkPool/system=%s/codec=%s/corpus=%s/threads=%d/op=", row.System, row.Codec, oneWord(row.Corpus), row.Threads)
		for op, rounds := range row.rounds {
			for _, ns := range rounds {
				fmt.Fprintf(&b, "%s%s\t%d\t%.1f ns/op\t%.2f MB/s\n", name, opNames[op], row.Pages, ns, 4096/ns*1e3)
			}
		}
		fmt.Fprintf(&b, "%smemory\t1\t%.4f effective-ratio\t%.4f compressed-ratio\t%.2f metadata-B/page\n", name, row.EffectiveRatio, row.CompressedRatio, row.MetadataBytesPerPage)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneWord makes a corpus's name part of a benchmark's, another one's another: what would end the part is written as in a URL.
func oneWord(name string) string {
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune("/=%", r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
