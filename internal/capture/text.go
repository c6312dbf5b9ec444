package capture

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/report"
)

// shown is how many processes are listed one by one.
const shown = 20

// WriteText tells people what a file of so many pages holds. all: nothing was left out that could be read.
func (pop *Population) WriteText(w io.Writer, file string, written int64, all bool) error {
	var b strings.Builder
	line := func(head, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s %s\n", head, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "\n%s holds %s of the %s resident anonymous pages that may be looked at (%s of %s)\n", file,
		report.Count(written), report.Count(pop.Pages), report.Bytes(written*PageSize), report.Bytes(pop.Pages*PageSize))
	pop.processLines(line)
	pop.LeftOutLines(line)
	fmt.Fprintf(&b, "WARNING: %s holds memory of other programs as it was: what they work on, and perhaps passwords and keys.\n", file)
	if all {
		fmt.Fprintf(&b, "With --all, also stacks, locked memory and what is not to be dumped: where programs keep their secrets.\n")
	}
	fmt.Fprintf(&b, "Only its owner may read it. Remove it when it is no longer needed, and give it to nobody who may not read that memory.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (pop *Population) processLines(line func(head, format string, args ...any)) {
	list := slices.DeleteFunc(slices.Clone(pop.Processes), func(p *Process) bool { return p.Sampled == 0 })
	slices.SortStableFunc(list, func(a, b *Process) int { return cmp.Compare(b.Sampled, a.Sampled) })
	var rest int
	var pages int64
	for i, p := range list {
		if i >= shown {
			rest, pages = rest+1, pages+p.Sampled
			continue
		}
		line("pages", "%s of %s of process %d, %q", report.Count(p.Sampled), report.Count(p.Eligible), p.PID, p.Name)
	}
	if rest > 0 {
		line("pages", "%s of %s more", report.Count(pages), Processes(rest))
	}
}

// LeftOutLines tells of the pages and processes that are not among the eligible ones.
func (pop *Population) LeftOutLines(line func(head, format string, args ...any)) {
	var parts []string
	for _, r := range Reasons {
		if n := pop.LeftOut[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", r, report.Bytes(n*PageSize)))
		}
	}
	if len(parts) > 0 {
		line("left out", "%s", strings.Join(parts, ", "))
	}
	if pop.Denied > 0 {
		line("not seen", "%s that not even root may look at", Processes(pop.Denied))
	}
	if pop.Gone > 0 {
		line("ended", "%s, before we looked", Processes(pop.Gone))
	}
}

// Processes writes how many there are.
func Processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return report.Count(n) + " processes"
}
