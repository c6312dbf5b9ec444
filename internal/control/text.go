package control

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/report"
)

// Size writes a size with as few digits as make sense: 3.7 GiB.
func Size(n int64) string {
	if n < 0 {
		return "-" + Size(-n)
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v := float64(n)
	for ; v >= 1023.5 && len(units) > 1; units = units[1:] {
		v /= 1024
	}
	if v < 9.95 && units[0] != "B" {
		return fmt.Sprintf("%.1f %s", v, units[0])
	}
	return fmt.Sprintf("%.0f %s", v, units[0])
}

// Span writes how long something has been going on: 3 d 4 h.
func Span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return report.Count(n) + " " + what + "s"
}

// Headline is the status in one line, what is saved first.
func (s *Status) Headline() string {
	if s.StoredPages <= 1 { // a swap header is one
		return "nothing is swapped out"
	}
	line := fmt.Sprintf("%s of memory holds %s, %s", Size(s.MemoryBytes), Size(s.HeldBytes), s.saved())
	if b := s.Backing; b != nil && b.Pages > 0 {
		line += fmt.Sprintf("; %s more on disk", Size(b.Pages*pageBytes))
	}
	return line
}

// saved says what is saved, in words where it is no size. A pool takes some memory before it holds a page.
func (s *Status) saved() string {
	switch {
	case s.SavedBytes > 0:
		return Size(s.SavedBytes) + " saved"
	case s.Backing != nil && s.Backing.Pages > 0:
		return "nothing saved in memory"
	case s.few():
		return "nothing saved yet"
	}
	return "nothing saved"
}

// few reports whether there are too few pages to judge a pool by: its tables and its reserve take as much.
func (s *Status) few() bool {
	return s.SavedBytes <= 0 && s.HeldBytes < fewBytes
}

const fewBytes = 16 << 20

// WriteText writes the status for people.
func (s *Status) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(head, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s %s\n", head, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(&b, s.Headline())
	for _, p := range s.Problems {
		line("PROBLEM", "%s", p)
	}
	s.poolLines(line)
	s.stateLines(line)
	s.latencyLines(line)
	line("cost", "%.1f s user, %.1f s system: %.1f %% of a CPU; %s of memory beside the pool",
		s.CPU.UserSeconds, s.CPU.SystemSeconds, 100*s.CPU.Share, Size(s.OwnBytes))
	for _, w := range s.Warnings {
		line("note", "%s", w)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type lineFunc = func(head, format string, args ...any)

func (s *Status) poolLines(line lineFunc) {
	if s.StoredPages > 1 && !s.few() {
		line("ratio", "%.2f to 1, all overhead counted", s.Ratio)
	}
	full := ""
	if s.Full {
		full = "; FULL"
	}
	line("memory", "%s of at most %s%s; %.1f %% of this machine's %s", Size(s.MemoryBytes), Size(s.LimitBytes), full,
		100*s.RAMShare, Size(s.RAMBytes))
	line("pages", "%s stored, %s of them same-filled, %s incompressible", report.Count(s.StoredPages),
		report.Count(s.SameFilledPages), report.Count(s.IncompressiblePages))
	for _, t := range s.Tiers {
		line("tier "+t.Name, "%s: %s in %s", t.Codec, counted(t.Pages, "page"), Size(t.CompressedBytes))
	}
	if k := s.Backing; k != nil {
		encrypted := ""
		if k.Encrypted {
			encrypted = ", encrypted"
		}
		line("on disk", "%s in %s of %s, %s%s", counted(k.Pages, "page"), Size(k.UsedBytes), Size(k.SizeBytes), k.Path, encrypted)
	}
	if len(s.Refused) == 0 {
		line("refused", "no page")
	}
	for _, r := range s.Refused {
		line("refused", "%s, kept by the kernel: %s", counted(int64(r.Pages), "page"), r.Why)
	}
	if s.CorruptPages+s.IOErrors > 0 {
		line("ERRORS", "%s damaged pages, %s requests that failed", report.Count(s.CorruptPages), report.Count(s.IOErrors))
	}
}

func (s *Status) stateLines(line lineFunc) {
	up := Span(time.Duration(s.UptimeSeconds * float64(time.Second)))
	line("state", "%s; zswapd %s, process %d, up %s; the store is %s old and has survived %s", s.State, s.Version, s.PID, up,
		Span(time.Duration(s.UptimeSeconds*float64(time.Second))+s.Started.Sub(s.Since)), counted(int64(s.Restarts), "restart"))
	d := &s.Door
	if d.Device == "" {
		line("door", "%s, swap is off", d.Kind)
		return
	}
	line("door", "%s on %s: %s of %s in use, priority %d", d.Kind, d.Device, Size(s.SwapBytes), Size(d.SizeBytes), d.Priority)
	if d.Why != "" {
		line("", "%s", d.Why)
	}
}

func (s *Status) latencyLines(line lineFunc) {
	for _, l := range []struct {
		head string
		q    report.Quantiles
	}{
		{"a page out", s.LatencyNS.Store}, {"a page in", s.LatencyNS.Load}, {"a fault", s.LatencyNS.Fault},
		{"compaction", s.LatencyNS.CompactionPause},
	} {
		if l.q.Max > 0 {
			line(l.head, "median %s, 99 %% within %s, worst %s", report.Duration(l.q.P50), report.Duration(l.q.P99), report.Duration(l.q.Max))
		}
	}
}
