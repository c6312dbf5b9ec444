package swapbench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// WriteGoBench writes each run as a line of a Go benchmark, so that benchstat can say how sure a difference is.
func (r *Result) WriteGoBench(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/zswapd/zswapd/internal/swapbench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, r.Machine.CPU)
	what := r.Settings.Workload
	if what == "" {
		what = "command"
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		for j := range row.Runs {
			f := &row.Runs[j]
			fmt.Fprintf(&b, "BenchmarkSwap/workload=%s/memory=%dMiB/system=%s/hold=%s\t1\t%.0f ns/op", what, r.Settings.MemoryBytes>>20, row.System, row.LatencyHold, f.WallSeconds*1e9)
			for _, g := range figures {
				if v := *g.of(f); g.unit != "" && v != 0 {
					fmt.Fprintf(&b, "\t%.6g %s", v, g.unit)
				}
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
