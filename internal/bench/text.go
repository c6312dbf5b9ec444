package bench

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/zswapd/zswapd/internal/report"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	fmt.Fprintf(&b, "CPUs %.0f %% busy meanwhile, %.0f %% taken by other machines; rounds %d, after %d to warm memory up\n",
		100*r.Noise.Busy, 100*r.Noise.Stolen, r.Settings.Rounds, r.Settings.WarmUpRounds)
	fmt.Fprintf(&b, "µs a page, wall time over pages; zram is given %d pages a system call, which is its best, and zswapd a page a call;\n", r.Settings.ZRAMBatch)
	fmt.Fprintf(&b, "(frames): what the frames have beyond the objects in them; the rest is tables, which do not shrink\n")
	fmt.Fprintf(&b, "aged: nobody has asked for the pages, so they were packed by %s, up to %s of neighbours together; zram does nothing by itself\n",
		r.Settings.ColdCodec, report.Bytes(int64(r.Settings.ClusterSize)))
	fmt.Fprintf(&b, "alone: a page a call on both sides, each timed by itself: wall time over pages, then p50 and p99 of a page\n")
	for rows := r.Rows; len(rows) > 0; {
		n := 1
		for n < len(rows) && rows[n].Corpus == rows[0].Corpus {
			n++
		}
		writeCorpus(&b, rows[:n])
		rows = rows[n:]
	}
	if len(r.Comparisons) > 0 {
		r.writeComparisons(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCorpus writes the rows of one corpus.
func writeCorpus(b *strings.Builder, rows []Row) {
	c := &rows[0]
	share := func(n int64) float64 { return 100 * float64(n) / float64(c.Pages) }
	fmt.Fprintf(b, "\n%s: %s pages, %.1f %% same-filled, %.1f %% duplicates\n",
		c.Corpus, report.Count(c.Pages), share(c.SameFilledPages), share(c.DuplicatePages))
	speed := table{left: 2}
	speed.add("", "", "", "store", "restore", "load", "store", "load", "store alone", "restore alone", "load alone")
	speed.add("system", "codec", "threads", "µs", "µs", "µs", "MB/s", "MB/s", "µs", "µs", "µs")
	memory := table{left: 2}
	memory.add("", "", "", "compressed", "effective", "same-filled", "metadata")
	memory.add("system", "codec", "threads", "ratio", "ratio", "left out", "B/page")
	for i := range rows {
		w := &rows[i]
		head := []string{w.System, w.Codec, fmt.Sprint(w.Threads)}
		s := &w.SinglePage
		speed.add(append(head, µs(w.StoreNsPerPage), µs(w.RestoreNsPerPage), µs(w.LoadNsPerPage), mb(w.StoreMBPerSecond), mb(w.LoadMBPerSecond),
			s.Store.String(), s.Restore.String(), s.Load.String())...)
		memory.add(append(head, ratio(w.CompressedRatio), ratio(w.EffectiveRatio), ratio(w.EffectiveRatioApart), fmt.Sprintf("%.1f", w.MetadataBytesPerPage))...)
	}
	speed.write(b)
	b.WriteByte('\n')
	memory.write(b)
	b.WriteByte('\n')
	states := table{left: 2}
	states.add("memory over", "compressed bytes", "filled", "50 % freed", "compacted", "(frames)", "frames/object", "longest step", "90 % freed", "compacted", "(frames)", "frames/object", "longest step")
	for i := range rows {
		w := &rows[i]
		if w.Threads != c.Threads {
			continue // they are the same
		}
		line := []string{w.System, w.Codec, over(w.States.Filled)}
		for _, f := range []*Freed{&w.States.Freed50, &w.States.Freed90} {
			line = append(line, over(f.Freed), over(f.Compacted), f.Compacted.frames())
			line = append(line, f.Compaction.cells()...)
		}
		states.add(line...)
	}
	states.write(b)
	writeAged(b, rows)
}

// writeAged tells what time does to pages that nobody asks for.
func writeAged(b *strings.Builder, rows []Row) {
	aged := table{left: 2}
	aged.add("", "", "effective", "memory over", "", "packing a page", "loading a cold page", "", "")
	aged.add("aged", "codec", "ratio", "compressed bytes", "cold pages", "µs of CPU", "µs", "p50", "p99")
	for i := range rows {
		w := &rows[i]
		if a := w.States.Aged; a != nil && w.Threads == rows[0].Threads {
			aged.add(w.System, w.Codec, ratio(a.EffectiveRatio), over(a.Level), fmt.Sprintf("%.1f %%", 100*float64(a.ColdPages)/float64(w.Pages)),
				µs(a.PackNsPerPage), µs(a.ColdLoad.NsPerPage), µs(float64(a.ColdLoad.P50)), µs(float64(a.ColdLoad.P99)))
		}
	}
	if len(aged.rows) > 2 {
		b.WriteByte('\n')
		aged.write(b)
	}
}

func (r *Result) writeComparisons(b *strings.Builder) {
	b.WriteString("\nGeometric means over the corpora, above 1 where zswapd is better\n")
	t := table{left: 2}
	t.add("codec", "against", "threads", "store rate", "restore rate", "load rate", "effective ratio", "when aged")
	for _, c := range r.Comparisons {
		t.add(c.Codec, c.Against, fmt.Sprint(c.Threads), ratio(c.StoreRate), ratio(c.RestoreRate), ratio(c.LoadRate), ratio(c.EffectiveRatio), ratio(c.AgedRatio))
	}
	t.write(b)
}

func µs(ns float64) string   { return fmt.Sprintf("%.2f", ns/1e3) }
func mb(v float64) string    { return fmt.Sprintf("%.0f", v) }
func ratio(v float64) string { return fmt.Sprintf("%.2f", v) }
func over(l Level) string    { return fmt.Sprintf("+%.1f %%", l.OverPercent) }

// frames is how much larger the frames are than the objects in them.
func (l Level) frames() string {
	if l.ObjectBytes == 0 {
		return "-"
	}
	return fmt.Sprintf("(+%.1f %%)", 100*float64(l.FrameBytes)/float64(l.ObjectBytes)-100)
}

func (s Single) String() string {
	return fmt.Sprintf("%s %s %s", µs(s.NsPerPage), µs(float64(s.P50)), µs(float64(s.P99)))
}

// cells are what moving an object gained and how long the longest step was, as far as it is known.
func (c *Compaction) cells() []string {
	if c.Steps == 0 {
		return []string{"-", "-"}
	}
	return []string{ratio(c.FramesPerObject), report.Duration(c.LongestStepNs)}
}

// table lines cells up: the first columns to the left, the others to the right.
type table struct {
	left int
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(b *strings.Builder) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		line := " "
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < t.left {
				line += " " + cell + space
			} else {
				line += "  " + space + cell
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
