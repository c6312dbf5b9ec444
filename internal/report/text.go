package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"github.com/zswapd/zswapd/internal/workload"
)

const pageSize = 4096

// Bytes writes a size the way people read it: 214 MiB.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	return units.CustomSize("%.4g %s", float64(n), 1024, sizes)
}

var sizes = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// Count writes a number with its thousands apart: 1,234,567.
func Count[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Duration writes nanoseconds with three digits: 4.91 µs.
func Duration(ns int64) string {
	units := []string{"ns", "µs", "ms", "s"}
	v := float64(ns)
	for ; v >= 999.5 && len(units) > 1; units = units[1:] {
		v /= 1000
	}
	return fmt.Sprintf("%.3g %s", v, units[0])
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(head, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", head, fmt.Sprintf(format, args...))
	}
	r.headline(&b)
	if r.Swap.PagesOut > 0 || r.Swap.Device != "" {
		line("swapped out", "%s in %s pages; %s pages came back", Bytes(int64(r.Swap.PagesOut)*pageSize),
			Count(r.Swap.PagesOut), Count(r.Swap.PagesIn))
	}
	r.poolLines(line)
	c := &r.Command
	line("command", "%.1f s user, %.1f s system, %s major faults, %s resident at most",
		c.UserSeconds, c.SystemSeconds, Count(c.MajorFaults), Bytes(c.MaxRSSBytes))
	if r.Pool.Codec != "" {
		line("zswapd", "%.1f s of CPU, %s of memory beside the pool", r.Daemon.CPUSeconds, Bytes(r.Daemon.OwnBytes))
	}
	if r.Workload != nil {
		workloadLines(r.Workload, line)
	}
	if r.Trace != nil {
		r.Trace.lines(line)
	}
	r.troubleLine(line)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) headline(b *strings.Builder) {
	c := &r.Command
	how := fmt.Sprintf("exited with %d", c.ExitCode)
	if c.OOMKills > 0 {
		how = fmt.Sprintf("ran out of memory (exit code %d, %d killed by the kernel)", c.ExitCode, c.OOMKills)
	}
	fmt.Fprintf(b, "\n%s %s after %.1f s, in %s of memory", strings.Join(c.Args, " "), how, c.WallSeconds, Bytes(r.LimitBytes))
	switch {
	case r.Swap.Device != "":
		fmt.Fprintf(b, " with compressed swap\n")
	case r.Pool.Codec != "":
		fmt.Fprintf(b, " with a pool in its own process (this is not kernel swap)\n")
	default:
		fmt.Fprintf(b, " without swap\n")
	}
}

func (r *Report) poolLines(line func(head, format string, args ...any)) {
	p := &r.Pool
	switch {
	case p.Codec == "":
		return
	case p.PeakStoredPages <= 1: // the swap header is one
		line("pool", "was not needed: the command fits its limit")
		return
	}
	out := p.PeakStoredPages * pageSize
	saved := Bytes(p.SavedBytes) + " saved"
	if p.SavedBytes <= 0 {
		saved = "nothing saved"
	}
	line("at the peak", "%s held in %s of RAM: %.2f to 1, %s", Bytes(out), Bytes(out-p.SavedBytes), p.Ratio, saved)
	line("pool", "%s; %s same-filled and %s incompressible pages at the end; compaction moved %s objects and freed %s",
		p.Codec, Count(p.SameFilledPages), Count(p.IncompressiblePages), Count(p.ObjectsMigrated), Bytes(int64(p.PagesCompacted)*pageSize))
	r.Tiers.lines(line)
	r.Tiers.Written.lines(line)
	l := &r.Latency
	line("a page out", "median %s, 99 %% within %s, worst %s", Duration(l.Store.P50), Duration(l.Store.P99), Duration(l.Store.Max))
	line("a page in", "median %s, 99 %% within %s, worst %s", Duration(l.Load.P50), Duration(l.Load.P99), Duration(l.Load.Max))
}

func (t *Tiers) lines(line func(head, format string, args ...any)) {
	if t.PackedPages == 0 {
		return
	}
	line("cold pages", "%s at the end, in %s (%s); %s were packed in all, which took %.1f s of CPU and saved %s, and %s became hot again",
		Count(t.Cold.Pages), Bytes(t.Cold.Bytes), t.Codec, Count(int64(t.PackedPages)), t.CPUSeconds, Bytes(t.SavedBytes), Count(int64(t.PromotedPages)))
	if l := t.ColdLoad; l.Max > 0 {
		line("a cold page in", "median %s, 99 %% within %s, worst %s", Duration(l.P50), Duration(l.P99), Duration(l.Max))
	}
}

func workloadLines(w *workload.Result, line func(head, format string, args ...any)) {
	line("workload", "%s of %s", Bytes(w.Pages*pageSize), w.Composition)
	line("", "%s touches, %s a second; each page compared byte for byte: %s wrong", Count(w.Touches), Count(int64(w.TouchesPerSecond)), Count(w.Failures))
	if f := w.Fault; f.Count > 0 {
		line("a fault", "median %s, 99 %% within %s, worst %s, as the workload felt it", Duration(int64(f.P50)), Duration(int64(f.P99)), Duration(int64(f.Max)))
	}
}

func (t *Trace) lines(line func(head, format string, args ...any)) {
	line("trace", "%s in %s: %s pages out, %s in", Bytes(t.Bytes), t.File, Count(t.Stored), Count(t.Loaded))
	if t.LostEvents > 0 {
		line("", "%s calls with %s pages are missing: the recorder was too slow for them", Count(t.LostEvents), Count(t.LostPages))
	}
	if t.Error != "" {
		line("", "it is cut off: %s", t.Error)
	}
}

func (r *Report) troubleLine(line func(head, format string, args ...any)) {
	var trouble []string
	if r.Errors.Unreadable > 0 {
		trouble = append(trouble, Count(r.Errors.Unreadable)+" pages could not be read from the backing file")
	}
	if r.Errors.Corrupt > 0 {
		trouble = append(trouble, Count(r.Errors.Corrupt)+" pages were damaged")
	}
	if r.Errors.IO > 0 {
		trouble = append(trouble, Count(r.Errors.IO)+" requests failed with an I/O error")
	}
	for reason, n := range r.Pool.Rejected {
		if n > 0 {
			trouble = append(trouble, fmt.Sprintf("%s pages refused (%s) and kept by the kernel", Count(n), strings.ReplaceAll(reason, "_", " ")))
		}
	}
	if len(trouble) > 0 {
		slices.Sort(trouble)
		line("trouble", "%s", strings.Join(trouble, "; "))
	}
}
