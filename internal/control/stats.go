package control

import (
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
)

// Stats are all numbers of a daemon. Counters go on across a restart only as far as the daemon carries them over;
// Prometheus takes a smaller value for a restart.
type Stats struct {
	// What is there now.
	StoredPages         int64 `json:"stored_pages"` // same-filled ones and those in the backing file among them
	SameFilledPages     int64 `json:"same_filled_pages"`
	IncompressiblePages int64 `json:"incompressible_pages"` // kept raw
	CompressedBytes     int64 `json:"compressed_bytes"`     // of the objects in memory
	MemoryBytes         int64 `json:"memory_bytes"`         // all that the pool takes: frames, tables, slack
	PeakMemoryBytes     int64 `json:"peak_memory_bytes"`
	LimitBytes          int64 `json:"limit_bytes"`
	Full                bool  `json:"full"`       // the limit was hit, and the pool is not back at its accept threshold
	SwapBytes           int64 `json:"swap_bytes"` // swapped out to the device, as the kernel counts

	Tiers   []Tier   `json:"tiers"`   // the hottest first; with one codec, one
	Backing *Backing `json:"backing"` // null without a backing file

	// Pages, since the start.
	Stores       uint64 `json:"stores"`
	Loads        uint64 `json:"loads"`
	Invalidated  uint64 `json:"invalidated"`
	PoolLimitHit uint64 `json:"pool_limit_hit"` // times that the limit refused a page
	// Rejected are pages refused, by reason, and kept by the kernel: the keys of Reasons.
	Rejected map[string]uint64 `json:"rejected"`
	Corrupt  uint64            `json:"corrupt"`   // found damaged
	IOErrors uint64            `json:"io_errors"` // requests that ended in an error, a full pool's aside

	// Background work, since the start.
	Aged            uint64 `json:"aged"` // generations
	Recompressed    uint64 `json:"recompressed_pages"`
	Promoted        uint64 `json:"promoted_pages"` // loaded out of a denser tier and kept in the fast one again
	WrittenBack     uint64 `json:"written_back_pages"`
	ReadBack        uint64 `json:"read_back_pages"` // loaded from the backing file
	PagesCompacted  uint64 `json:"pages_compacted"` // frames that compaction freed
	ObjectsMigrated uint64 `json:"objects_migrated"`
	Resent          uint64 `json:"resent_requests"` // that a dead predecessor had read and not answered

	// Times.
	Store           histogram.Snapshot `json:"store_time"`       // of a page in the pool
	Load            histogram.Snapshot `json:"load_time"`        // of a page in the pool
	Fault           histogram.Snapshot `json:"fault_time"`       // of a read, from our getting it to the reply
	CompactionPause histogram.Snapshot `json:"compaction_pause"` // of a step of compaction

	// The process.
	UserCPU   time.Duration `json:"user_cpu_ns"`
	SystemCPU time.Duration `json:"system_cpu_ns"`
	OwnBytes  int64         `json:"own_bytes"` // resident, without the pool's memory
}

// Tier is what one way of keeping pages holds now: all that are stored are in a tier, in the backing file, or same-filled.
type Tier struct {
	Name            string `json:"name"`  // fast, dense, …
	Codec           string `json:"codec"` // or "" if it has none
	Pages           int64  `json:"pages"`
	CompressedBytes int64  `json:"compressed_bytes"`
}

// Backing is the file or partition for the coldest pages.
type Backing struct {
	Path      string `json:"path"`
	SizeBytes int64  `json:"size_bytes"`
	UsedBytes int64  `json:"used_bytes"`
	Pages     int64  `json:"pages"`
	Encrypted bool   `json:"encrypted"`
}

// Reasons for which a page is refused, with what they mean in words. These are all that Stats.Rejected may have.
var Reasons = map[string]string{
	"full":          "the pool is at its limit",
	"alloc_fail":    "the system had no memory for it",
	"compress_poor": "it compresses too little to be worth keeping",
}

// pageBytes is the size of a page.
const pageBytes = 4096

// Held returns the bytes of the pages that are in memory, as they were before they were compressed.
func (s *Stats) Held() int64 {
	if s.Backing != nil {
		return (s.StoredPages - s.Backing.Pages) * pageBytes
	}
	return s.StoredPages * pageBytes
}

// Saved returns the bytes of the pages held in memory less all memory that they take.
func (s *Stats) Saved() int64 { return s.Held() - s.MemoryBytes }

// Ratio returns the bytes of the pages held in memory over all memory that they take; 0 for an empty pool.
func (s *Stats) Ratio() float64 {
	if s.MemoryBytes == 0 {
		return 0
	}
	return float64(s.Held()) / float64(s.MemoryBytes)
}
