package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/zswapd/zswapd/internal/report"
)

// Status is what a person wants to know of a daemon.
type Status struct {
	Info
	UptimeSeconds float64 `json:"uptime_seconds"` // of this process

	HeldBytes   int64   `json:"held_bytes"`   // pages in memory, as they were before they were compressed
	MemoryBytes int64   `json:"memory_bytes"` // all that they take
	SavedBytes  int64   `json:"saved_bytes"`  // the difference
	Ratio       float64 `json:"ratio"`        // held over taken; 0 for an empty pool
	LimitBytes  int64   `json:"limit_bytes"`
	RAMShare    float64 `json:"ram_share"` // of the machine's RAM that the pool takes, 0 to 1
	Full        bool    `json:"full"`
	SwapBytes   int64   `json:"swap_bytes"` // of the device in use

	StoredPages         int64    `json:"stored_pages"`
	SameFilledPages     int64    `json:"same_filled_pages"`
	IncompressiblePages int64    `json:"incompressible_pages"`
	Tiers               []Tier   `json:"tiers"`
	Backing             *Backing `json:"backing"`

	Refused       []Refused `json:"refused"` // since the start, most often first
	CorruptPages  uint64    `json:"corrupt_pages"`
	IOErrors      uint64    `json:"io_errors"`
	LatencyNS     Latencies `json:"latency_ns"`
	CPU           CPU       `json:"cpu"`
	OwnBytes      int64     `json:"own_bytes"` // of memory beside the pool's
	WrittenBack   uint64    `json:"written_back_pages"`
	Recompressed  uint64    `json:"recompressed_pages"`
	FreedByMoving int64     `json:"compacted_bytes"` // that compaction freed
}

// Refused are pages that were refused for one reason, and that the kernel kept.
type Refused struct {
	Reason string `json:"reason"`
	Why    string `json:"why"` // in words
	Pages  uint64 `json:"pages"`
}

// Latencies are since the start, in nanoseconds.
type Latencies struct {
	Store           report.Quantiles `json:"store"` // of a page in the pool
	Load            report.Quantiles `json:"load"`
	Fault           report.Quantiles `json:"fault"` // of a read, all our part of it
	CompactionPause report.Quantiles `json:"compaction_pause"`
}

// CPU is what the daemon costs.
type CPU struct {
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	Share         float64 `json:"share"` // of one CPU, since the start
}

// NewStatus makes the status out of what a daemon tells.
func NewStatus(i Info, s Stats, now time.Time) Status {
	i, s = i.complete(), s.complete()
	up := max(now.Sub(i.Started).Seconds(), 0)
	st := Status{
		Info: i, UptimeSeconds: up,
		HeldBytes: s.Held(), MemoryBytes: s.MemoryBytes, SavedBytes: s.Saved(), Ratio: s.Ratio(), LimitBytes: s.LimitBytes,
		Full: s.Full, SwapBytes: s.SwapBytes, StoredPages: s.StoredPages, SameFilledPages: s.SameFilledPages,
		IncompressiblePages: s.IncompressiblePages, Tiers: s.Tiers, Backing: s.Backing,
		Refused: refusedOf(s.Rejected), CorruptPages: s.Corrupt, IOErrors: s.IOErrors,
		LatencyNS: Latencies{report.QuantilesOf(&s.Store), report.QuantilesOf(&s.Load), report.QuantilesOf(&s.Fault),
			report.QuantilesOf(&s.CompactionPause)},
		CPU:         CPU{UserSeconds: s.UserCPU.Seconds(), SystemSeconds: s.SystemCPU.Seconds()},
		OwnBytes:    s.OwnBytes,
		WrittenBack: s.WrittenBack, Recompressed: s.Recompressed, FreedByMoving: int64(s.PagesCompacted) * pageBytes,
	}
	if i.RAMBytes > 0 {
		st.RAMShare = float64(s.MemoryBytes) / float64(i.RAMBytes)
	}
	if up > 0 {
		st.CPU.Share = (s.UserCPU + s.SystemCPU).Seconds() / up
	}
	return st
}

func refusedOf(pages map[string]uint64) []Refused {
	all := []Refused{}
	for _, reason := range slices.Sorted(maps.Keys(pages)) {
		if n := pages[reason]; n > 0 {
			all = append(all, Refused{reason, cmp.Or(Reasons[reason], reason), n})
		}
	}
	slices.SortStableFunc(all, func(a, b Refused) int { return cmp.Compare(b.Pages, a.Pages) })
	return all
}

// Health says whether a daemon does what it is for.
type Health struct {
	OK       bool     `json:"ok"` // it serves, and has no problem
	State    string   `json:"state"`
	Problems []string `json:"problems"`
}

// Health judges a daemon by what it says of itself.
func (i *Info) Health() Health {
	return Health{i.State == StateServing && len(i.Problems) == 0, i.State, list(i.Problems)}
}

// complete has no nil list, so that JSON has none.
func (i Info) complete() Info {
	i.Problems, i.Warnings = list(i.Problems), list(i.Warnings)
	return i
}

// complete has no nil list or map, so that JSON has none.
func (s Stats) complete() Stats {
	s.Tiers = list(s.Tiers)
	if s.Rejected == nil {
		s.Rejected = map[string]uint64{}
	}
	return s
}
