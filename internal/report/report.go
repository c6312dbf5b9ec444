package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/workload"
)

// Version is that of the JSON form.
const Version = 1

// Report is the result of one run. Sizes are in bytes, counts of pages in pages of 4 KiB.
type Report struct {
	Version    int     `json:"version"`
	Command    Command `json:"command"`
	LimitBytes int64   `json:"limit_bytes"` // of the command's memory
	Swap       Swap    `json:"swap"`
	Pool       Pool    `json:"pool"`
	Tiers      Tiers   `json:"tiers"`
	Latency    Latency `json:"latency"`
	Errors     Errors  `json:"errors"`
	Daemon     Daemon  `json:"daemon"`
	// Machine is what all CPUs did meanwhile.
	Machine machine.Noise `json:"machine"`
	// Workload is the result of the built-in workload, if that is what ran.
	Workload *workload.Result `json:"workload,omitempty"`
	// Trace is what was recorded, if it was asked for.
	Trace *Trace `json:"trace,omitempty"`
}

// Command is what ran. Times and memory are those of it and the children that it waited for.
type Command struct {
	Args          []string `json:"args"`
	ExitCode      int      `json:"exit_code"`
	WallSeconds   float64  `json:"wall_seconds"`
	UserSeconds   float64  `json:"user_seconds"`
	SystemSeconds float64  `json:"system_seconds"`
	MaxRSSBytes   int64    `json:"max_rss_bytes"`
	MajorFaults   int64    `json:"major_faults"` // of all in its memory cgroup
	OOMKills      uint64   `json:"oom_kills"`
}

// Swap is what the kernel did with the device.
type Swap struct {
	Device        string `json:"device"` // "" without kernel swap
	SizeBytes     int64  `json:"size_bytes"`
	PeakUsedBytes int64  `json:"peak_used_bytes"`
	// What the device took of the machine's memory at most, and when the most was swapped out, looked at ten times a second.
	PeakMemoryBytes   int64  `json:"peak_memory_bytes"`
	MemoryAtPeakBytes int64  `json:"memory_at_peak_bytes"`
	PagesOut          uint64 `json:"pages_out"`
	PagesIn           uint64 `json:"pages_in"`
	DiscardedPages    uint64 `json:"discarded_pages"`
}

// Pool is what it cost. Numbers of pages and bytes are those at the end of the command, unless they say peak.
type Pool struct {
	Codec               string            `json:"codec"`
	LimitBytes          int64             `json:"limit_bytes"`
	StoredPages         int64             `json:"stored_pages"`
	PeakStoredPages     int64             `json:"peak_stored_pages"`
	SameFilledPages     int64             `json:"same_filled_pages"`
	IncompressiblePages int64             `json:"incompressible_pages"`
	CompressedBytes     int64             `json:"compressed_bytes"`
	MemoryBytes         int64             `json:"memory_bytes"`
	PeakMemoryBytes     int64             `json:"peak_memory_bytes"`
	Ratio               float64           `json:"ratio"`       // pages stored over all memory they took, at the peak
	SavedBytes          int64             `json:"saved_bytes"` // pages stored less all memory they took, at the peak
	PagesCompacted      uint64            `json:"pages_compacted"`
	ObjectsMigrated     uint64            `json:"objects_migrated"`
	Rejected            map[string]uint64 `json:"rejected"` // pages, by reason
}

// Tiers are where the pages were at the end, and how they came there.
type Tiers struct {
	Codec            string  `json:"codec"` // of cold pages; "none"
	IdleAfterSeconds float64 `json:"idle_after_seconds"`
	Hot              Tier    `json:"hot"`  // as they came, raw ones among them, same-filled ones not
	Cold             Tier    `json:"cold"` // packed again since nobody asked for them
	Clusters         int64   `json:"clusters"`
	PackedPages      uint64  `json:"packed_pages"`   // hot to cold, in all
	PromotedPages    uint64  `json:"promoted_pages"` // cold or written, to hot
	KeptPages        uint64  `json:"kept_pages"`     // that the codec of cold pages gains nothing on
	LostPages        uint64  `json:"lost_pages"`     // that were asked for while they were packed
	SavedBytes       int64   `json:"saved_bytes"`    // by packing, in all
	Generations      uint64  `json:"generations"`

	CPUSeconds float64   `json:"cpu_seconds"`  // that packing took
	Pack       Quantiles `json:"pack_ns"`      // CPU time of a page
	ColdLoad   Quantiles `json:"cold_load_ns"` // time of a page that had to be unpacked

	Written *Written `json:"written,omitempty"` // in a backing file, if there is one
}

// Tier is what is in one of them.
type Tier struct {
	Pages int64 `json:"pages"`
	Bytes int64 `json:"bytes"` // compressed
}

// Latency is what a page took in the pool, without the kernel's part.
type Latency struct {
	Store Quantiles `json:"store_ns"`
	Load  Quantiles `json:"load_ns"`
}

// Quantiles are in nanoseconds.
type Quantiles struct {
	P50 int64 `json:"p50"`
	P90 int64 `json:"p90"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// QuantilesOf reads the quantiles off a histogram.
func QuantilesOf(s *histogram.Snapshot) Quantiles {
	return Quantiles{int64(s.Quantile(0.5)), int64(s.Quantile(0.9)), int64(s.Quantile(0.99)), int64(s.Max)}
}

// Errors are what went wrong.
type Errors struct {
	Corrupt    uint64 `json:"corrupt"`    // pages found damaged
	Unreadable uint64 `json:"unreadable"` // pages that the backing file's disk did not give back
	IO         uint64 `json:"io"`         // requests that were answered with an I/O error
}

// Daemon is what we took ourselves.
type Daemon struct {
	RSSBytes   int64   `json:"rss_bytes"` // the most that was resident, the pool's memory included
	OwnBytes   int64   `json:"own_bytes"` // resident at the end, without the pool's memory
	CPUSeconds float64 `json:"cpu_seconds"`

	UserSeconds   float64 `json:"user_seconds"` // these two are CPUSeconds
	SystemSeconds float64 `json:"system_seconds"`
}

// Trace is what became of a recording. Pages that were lost found the recorder too slow, and are not in the file.
type Trace struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	Events      uint64 `json:"events"`
	Stored      uint64 `json:"stored_pages"`
	Loaded      uint64 `json:"loaded_pages"`
	Invalidated uint64 `json:"invalidated_pages"`
	LostEvents  uint64 `json:"lost_events"`
	LostPages   uint64 `json:"lost_pages"` // stored or loaded
	Error       string `json:"error,omitempty"`
}

// WriteJSON writes the contract's form.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
