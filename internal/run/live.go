package run

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// LiveLine is one line on a terminal that is written over and over.
type LiveLine struct {
	w     io.Writer
	width int
}

// NewLiveLine writes to a terminal of so many columns; one that does not know how many it has says 0.
func NewLiveLine(w io.Writer, width int) *LiveLine {
	if width < minWidth {
		width = 80
	}
	return &LiveLine{w: w, width: width}
}

const minWidth = 10

// Show replaces the line.
func (l *LiveLine) Show(s string) {
	if l == nil {
		return
	}
	if r := []rune(s); len(r) > l.width-1 {
		s = string(r[:l.width-1])
	}
	fmt.Fprintf(l.w, "\r\x1b[K%s", s)
}

// Clear removes the line.
func (l *LiveLine) Clear() { l.Show("") }

// sample is what the live line shows of one moment.
type sample struct {
	at      time.Time
	used    int64 // bytes swapped out
	pool    zpool.Stats
	reads   uint64        // pages that the kernel read
	waited  time.Duration // by the kernel, for all reads
	waiting uint64        // reads that waited so
}

// line says what there is at s, and how fast it goes since the sample before.
func (s *sample) line(before *sample) string {
	var b strings.Builder
	memory := s.pool.MemoryBytes
	fmt.Fprintf(&b, "swapped %s", report.Bytes(s.used))
	if stored := s.pool.StoredPages * zpool.PageSize; stored > memory {
		fmt.Fprintf(&b, "  pool %s  ratio %.2f  saved %s", report.Bytes(memory), float64(stored)/float64(memory), report.Bytes(stored-memory))
	}
	seconds := s.at.Sub(before.at).Seconds()
	fmt.Fprintf(&b, "  faults %s/s", report.Count(int64(float64(s.reads-before.reads)/max(seconds, 1e-3))))
	if n := s.waiting - before.waiting; n > 0 {
		fmt.Fprintf(&b, "  fault %s", report.Duration(int64(s.waited-before.waited)/int64(n)))
	}
	return b.String()
}
