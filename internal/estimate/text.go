package estimate

import (
	"fmt"
	"io"
	"strings"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/report"
)

// few pages say little: the slack of a pool weighs more than what is in it.
const few = 1000

// WriteText writes the estimate for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(head, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", head, fmt.Sprintf(format, args...))
	}
	p := &r.Population
	fmt.Fprintf(&b, "\nof %s, %s of anonymous memory is resident and could be swapped (%s looked at)\n",
		r.Target, report.Bytes(p.EligibleBytes), capture.Processes(p.Processes))
	r.populationLines(line)
	fmt.Fprintf(&b, "\n  %-14s %-20s %-16s %-12s %-12s %s\n", "codec", "compressed", "in all memory", "a page out", "a page in", "incompressible")
	for i := range r.Codecs {
		b.WriteString(r.Codecs[i].line(r.Sample.Pages))
	}
	fmt.Fprintln(&b)
	for _, s := range r.Savings {
		line(fmt.Sprintf("%.0f %% idle", s.IdlePercent), "%s swapped out frees %s; the pool takes %s", report.Bytes(s.SwappedBytes), report.Bytes(s.FreedBytes), report.Bytes(s.PoolBytes))
	}
	line("idle", "%.0f %% at least: not touched since the kernel last looked, which it does only when it needs memory",
		100*float64(p.UnreferencedBytes)/float64(max(p.EligibleBytes, 1)))
	r.choiceLines(line)
	line("on", "%s; busy %.0f %%, stolen %.0f %%", r.Machine, 100*r.Noise.Busy, 100*r.Noise.Stolen)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) populationLines(line func(head, format string, args ...any)) {
	p, s := &r.Population, &r.Sample
	percent := func(n int64) float64 { return 100 * float64(n) / float64(s.Pages) }
	line("sample", "%s of %s pages (%s of %s)", report.Count(s.Pages), report.Count(p.EligibleBytes/pageSize), report.Bytes(s.Pages*pageSize), report.Bytes(p.EligibleBytes))
	if s.Pages < few {
		line("", "so few that the figures say little")
	}
	line("", "%.1f %% same-filled; %.1f %% equal another page of the sample, which the pool does not make use of", percent(s.SameFilledPages), percent(s.DuplicatePages))
	if p.SwappedBytes > 0 {
		line("swapped", "%s more are out already", report.Bytes(p.SwappedBytes))
	}
	pop := capture.Population{LeftOut: map[capture.Reason]int64{}, Gone: p.GoneProcesses, Denied: p.DeniedProcesses}
	for reason, bytes := range p.LeftOutBytes {
		pop.LeftOut[reason] = bytes / pageSize
	}
	pop.LeftOutLines(line)
}

// line is one row of the table.
func (c *Codec) line(sample int64) string {
	ratio, all := "-", "-"
	if c.Ratio > 0 {
		ratio = fmt.Sprintf("%.2f to 1", c.Ratio)
	}
	if c.Margin > 0 {
		ratio += fmt.Sprintf(" ± %.1f %%", 100*c.Margin)
	}
	if c.EffectiveRatio > 0 {
		all = fmt.Sprintf("%.2f to 1", c.EffectiveRatio)
	}
	return fmt.Sprintf("  %-14s %-20s %-16s %-12s %-12s %.1f %%\n", c.name(), ratio, all, report.Duration(c.Store.P50),
		report.Duration(c.Load.P50), 100*float64(c.IncompressiblePages)/float64(sample))
}

func (r *Report) choiceLines(line func(head, format string, args ...any)) {
	c := &r.Choice
	if c.Worth {
		line("choose", "--compressor %s --pool-limit %s --swap %s", c.Codec, flagSize(c.PoolLimitBytes), flagSize(c.SwapBytes))
	} else {
		line("choose", "no compressed swap")
	}
	for i, reason := range c.Reasons {
		head := ""
		if i == 0 {
			head = "because"
		}
		line(head, "%s", reason)
	}
}

// flagSize writes whole MiB as a flag takes them.
func flagSize(bytes int64) string { return fmt.Sprintf("%dM", bytes>>20) }
