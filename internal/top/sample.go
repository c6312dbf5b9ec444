package top

import (
	"time"

	"github.com/zswapd/zswapd/internal/control"
)

// historyMost bounds the samples that are kept: more than any terminal has columns.
const historyMost = 1024

// sample is what one look showed: now, and per second since the look before.
type sample struct {
	ratio, memory, held         float64 // bytes
	out, in                     float64 // pages a second
	median, slow                float64 // of faults since, in seconds
	moved, pause                float64 // objects a second; the longest of 99 % of the pauses since, in seconds
	refused, recompressed, disk float64 // pages a second
	cpu                         float64 // share of one CPU
}

// look is what the daemon said at one time.
type look struct {
	at    time.Time
	info  control.Info
	stats control.Stats
}

// since makes the sample of a look. It is not ok if there is nothing to compare it with: the first look, or another daemon.
func (l *look) since(before *look) (s sample, ok bool) {
	passed := l.at.Sub(before.at).Seconds()
	if before.at.IsZero() || l.info.PID != before.info.PID || passed <= 0 {
		return s, false
	}
	n, b := &l.stats, &before.stats
	rate := func(now, then uint64) float64 { return float64(now-min(then, now)) / passed }
	faults, pauses := n.Fault.Sub(&b.Fault), n.CompactionPause.Sub(&b.CompactionPause)
	return sample{
		ratio: n.Ratio(), memory: float64(n.MemoryBytes), held: float64(n.Held()),
		out: rate(n.Stores, b.Stores), in: rate(n.Loads, b.Loads),
		median: faults.Quantile(0.5).Seconds(), slow: faults.Quantile(0.99).Seconds(),
		moved: rate(n.ObjectsMigrated, b.ObjectsMigrated), pause: pauses.Quantile(0.99).Seconds(),
		refused: rate(refused(n), refused(b)), recompressed: rate(n.Recompressed, b.Recompressed), disk: rate(n.WrittenBack, b.WrittenBack),
		cpu: (n.UserCPU + n.SystemCPU - b.UserCPU - b.SystemCPU).Seconds() / passed,
	}, true
}

func refused(s *control.Stats) (n uint64) {
	for _, pages := range s.Rejected {
		n += pages
	}
	return n
}

// history is the last samples, the oldest first.
type history []sample

func (h history) with(s sample) history {
	if len(h) >= historyMost {
		h = append(history(nil), h[len(h)-historyMost/2:]...)
	}
	return append(h, s)
}

// values returns one number of the last n samples.
func (h history) values(n int, of func(*sample) float64) []float64 {
	h = h[max(0, len(h)-n):]
	v := make([]float64, len(h))
	for i := range h {
		v[i] = of(&h[i])
	}
	return v
}
