package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/histogram"
)

// Source is a daemon, as far as metrics go.
type Source interface {
	Info() control.Info
	Stats() control.Stats
}

// snapshot is what one scrape tells.
type snapshot struct {
	info  control.Info
	stats control.Stats
}

// simple is a metric without labels.
type simple struct {
	name, help string
	kind       prometheus.ValueType
	value      func(s *snapshot) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var simples = []simple{
	{"stored_pages", "Pages in the pool, same-filled ones and those in the backing file among them.", gauge, func(s *snapshot) float64 { return float64(s.stats.StoredPages) }},
	{"same_filled_pages", "Pages that repeat one pattern and take no memory.", gauge, func(s *snapshot) float64 { return float64(s.stats.SameFilledPages) }},
	{"incompressible_pages", "Pages that are kept as they are.", gauge, func(s *snapshot) float64 { return float64(s.stats.IncompressiblePages) }},
	{"compressed_bytes", "Bytes of the compressed pages in memory.", gauge, func(s *snapshot) float64 { return float64(s.stats.CompressedBytes) }},
	{"held_bytes", "Bytes of the pages in memory, as they were before they were compressed.", gauge, func(s *snapshot) float64 { return float64(s.stats.Held()) }},
	{"pool_memory_bytes", "All memory that the pool takes: frames, tables, slack.", gauge, func(s *snapshot) float64 { return float64(s.stats.MemoryBytes) }},
	{"pool_peak_memory_bytes", "The most memory that the pool took.", gauge, func(s *snapshot) float64 { return float64(s.stats.PeakMemoryBytes) }},
	{"pool_limit_bytes", "Hard limit of the pool's memory.", gauge, func(s *snapshot) float64 { return float64(s.stats.LimitBytes) }},
	{"pool_full", "1 if the limit was hit and the pool is not back at its accept threshold.", gauge, func(s *snapshot) float64 { return number(s.stats.Full) }},
	{"swap_used_bytes", "Bytes swapped out to the device, as the kernel counts.", gauge, func(s *snapshot) float64 { return float64(s.stats.SwapBytes) }},
	{"swap_size_bytes", "Size of the swap device.", gauge, func(s *snapshot) float64 { return float64(s.info.Door.SizeBytes) }},
	{"own_memory_bytes", "Resident memory of the daemon beside the pool's.", gauge, func(s *snapshot) float64 { return float64(s.stats.OwnBytes) }},
	{"ram_bytes", "Memory of the machine.", gauge, func(s *snapshot) float64 { return float64(s.info.RAMBytes) }},
	{"problems", "Things that are not as they should be; zswapd status tells which.", gauge, func(s *snapshot) float64 { return float64(len(s.info.Problems)) }},
	{"start_time_seconds", "When this daemon was started, in Unix time.", gauge, func(s *snapshot) float64 { return seconds(s.info.Started) }},
	{"store_start_time_seconds", "When the store was made, in Unix time; a daemon that is restarted goes on with it.", gauge, func(s *snapshot) float64 { return seconds(s.info.Since) }},

	{"store_pages_total", "Pages stored.", counter, func(s *snapshot) float64 { return float64(s.stats.Stores) }},
	{"load_pages_total", "Pages loaded.", counter, func(s *snapshot) float64 { return float64(s.stats.Loads) }},
	{"invalidate_pages_total", "Pages that the kernel had no more use for.", counter, func(s *snapshot) float64 { return float64(s.stats.Invalidated) }},
	{"pool_limit_hit_total", "Times that the limit refused a page.", counter, func(s *snapshot) float64 { return float64(s.stats.PoolLimitHit) }},
	{"corrupt_pages_total", "Pages found damaged.", counter, func(s *snapshot) float64 { return float64(s.stats.Corrupt) }},
	{"io_errors_total", "Requests that ended in an error, those of a full pool aside.", counter, func(s *snapshot) float64 { return float64(s.stats.IOErrors) }},
	{"aged_total", "Generations by which pages were made older.", counter, func(s *snapshot) float64 { return float64(s.stats.Aged) }},
	{"recompressed_pages_total", "Idle pages compressed again by the dense codec.", counter, func(s *snapshot) float64 { return float64(s.stats.Recompressed) }},
	{"promoted_pages_total", "Pages loaded out of a denser tier and kept in the fast one again.", counter, func(s *snapshot) float64 { return float64(s.stats.Promoted) }},
	{"written_back_pages_total", "Pages written to the backing file.", counter, func(s *snapshot) float64 { return float64(s.stats.WrittenBack) }},
	{"read_back_pages_total", "Pages loaded from the backing file.", counter, func(s *snapshot) float64 { return float64(s.stats.ReadBack) }},
	{"compacted_pages_total", "Frames freed by compaction.", counter, func(s *snapshot) float64 { return float64(s.stats.PagesCompacted) }},
	{"migrated_objects_total", "Objects moved by compaction.", counter, func(s *snapshot) float64 { return float64(s.stats.ObjectsMigrated) }},
	{"resent_requests_total", "Requests that a dead daemon had read and not answered.", counter, func(s *snapshot) float64 { return float64(s.stats.Resent) }},
	{"restarts_total", "Restarts of the daemon that the store survived.", counter, func(s *snapshot) float64 { return float64(s.info.Restarts) }},
}

// timing is a histogram of durations.
type timing struct {
	name, help string
	value      func(s *control.Stats) *histogram.Snapshot
}

var timings = []timing{
	{"store_seconds", "Time to store a page in the pool.", func(s *control.Stats) *histogram.Snapshot { return &s.Store }},
	{"load_seconds", "Time to load a page from the pool.", func(s *control.Stats) *histogram.Snapshot { return &s.Load }},
	{"fault_seconds", "Time to serve a read of the kernel's, from getting it to the reply.", func(s *control.Stats) *histogram.Snapshot { return &s.Fault }},
	{"compaction_pause_seconds", "Time of a step of compaction.", func(s *control.Stats) *histogram.Snapshot { return &s.CompactionPause }},
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
