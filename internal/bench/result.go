package bench

import (
	"encoding/json"
	"io"

	"github.com/zswapd/zswapd/internal/chart"
	"github.com/zswapd/zswapd/internal/machine"
)

// Version is that of the JSON form. Fields are added, none is removed or renamed.
const Version = 1

// Result is what Run found out. Times are in nanoseconds, sizes in bytes, counts of pages in pages of 4 KiB.
type Result struct {
	Version  int             `json:"version"`
	Machine  machine.Machine `json:"machine"`
	Noise    machine.Noise   `json:"noise"` // of all the time it took
	Settings Settings        `json:"settings"`
	Rows     []Row           `json:"rows"`
	// Comparisons are over all corpora, for each codec, each algorithm of zram and each number of threads.
	Comparisons []Comparison `json:"comparisons"`
}

// Settings are how it was measured.
type Settings struct {
	Rounds       int  `json:"rounds"`         // that count
	WarmUpRounds int  `json:"warm_up_rounds"` // that do not
	BlockPages   int  `json:"block_pages"`    // of a thread, timed together
	ZRAMBatch    int  `json:"zram_batch"`     // pages that zram is given a system call
	Together     bool `json:"together"`       // all corpora in one store

	ColdCodec   string `json:"cold_codec"`   // of pages that nobody asked for
	ClusterSize int    `json:"cluster_size"` // bytes of pages that are packed together then
}

// Row is one system with one corpus.
type Row struct {
	System  string `json:"system"` // zswapd or zram
	Codec   string `json:"codec"`  // zram's algorithm
	Default bool   `json:"default"`
	Corpus  string `json:"corpus"`
	Threads int    `json:"threads"`

	Pages           int64 `json:"pages"`
	SameFilledPages int64 `json:"same_filled_pages"` // of one 8-byte pattern
	DuplicatePages  int64 `json:"duplicate_pages"`   // equal to an earlier one, same-filled ones aside
	// IncompressiblePages are kept as they are.
	IncompressiblePages int64 `json:"incompressible_pages"`

	// Wall time over pages, with all threads at work: the inverse of the rate.
	StoreNsPerPage   float64 `json:"store_ns_per_page"` // into an empty store, which grows
	RestoreNsPerPage float64 `json:"restore_ns_per_page"`
	LoadNsPerPage    float64 `json:"load_ns_per_page"`
	// The same in pages' bytes, 1e6 a second.
	StoreMBPerSecond   float64 `json:"store_mb_per_second"`
	RestoreMBPerSecond float64 `json:"restore_mb_per_second"`
	LoadMBPerSecond    float64 `json:"load_mb_per_second"`

	// CompressedBytes are those of the objects; same-filled pages have none.
	CompressedBytes int64 `json:"compressed_bytes"`
	// MemoryBytes are all that the pages take: frames, tables, slack.
	MemoryBytes     int64   `json:"memory_bytes"`
	CompressedRatio float64 `json:"compressed_ratio"` // bytes of pages that are not same-filled over CompressedBytes
	EffectiveRatio  float64 `json:"effective_ratio"`  // bytes of all pages over MemoryBytes
	// EffectiveRatioApart leaves the bytes of same-filled pages out, but not what they take.
	EffectiveRatioApart  float64 `json:"effective_ratio_without_same_filled"`
	MetadataBytesPerPage float64 `json:"metadata_bytes_per_page"` // tables and headers: neither objects nor slack

	SinglePage SinglePage    `json:"single_page"`
	States     States        `json:"states"`
	Noise      machine.Noise `json:"noise"` // while the corpus was measured with so many threads

	rounds [ops][]float64  // ns per page of each round, for benchstat
	curves [ops][]chart.XY // quantiles of pages that were timed by themselves, in percent
}

// SinglePage is for pages that are given one by one and timed by themselves, two readings of the clock included.
type SinglePage struct {
	Store   Single `json:"store"`
	Restore Single `json:"restore"`
	Load    Single `json:"load"`
}

// Single is the time of a page. NsPerPage is wall time over pages, found as that of blocks is; the quantiles are those of
// the pages' own times, over all rounds.
type Single struct {
	NsPerPage float64 `json:"ns_per_page"`
	P50       int64   `json:"p50_ns"`
	P99       int64   `json:"p99_ns"`
	Max       int64   `json:"max_ns"`
}

// States are what memory is taken after the store was filled, and after pages at random were freed. One thread did it.
type States struct {
	Filled  Level `json:"filled"`
	Freed50 Freed `json:"freed_50"`
	Freed90 Freed `json:"freed_90"`
	Aged    *Aged `json:"aged,omitempty"` // of zswapd: zram does nothing by itself
}

// Aged is a full store whose pages nobody has asked for since, so that all were packed again, and which was then compacted.
type Aged struct {
	Level
	EffectiveRatio float64 `json:"effective_ratio"`
	ColdPages      int64   `json:"cold_pages"` // packed; the others gain nothing by it, or are same-filled
	Clusters       int64   `json:"clusters"`
	// CPU time of a page that was packed, or tried.
	PackNsPerPage float64 `json:"pack_ns_per_page"`
	// A page, at random, that has to be unpacked. Quantiles are at most 1/16 too high.
	ColdLoad Single `json:"cold_load"`
}

// Level is how much memory is taken for what is there.
type Level struct {
	Pages           int64   `json:"pages"`
	CompressedBytes int64   `json:"compressed_bytes"`
	MemoryBytes     int64   `json:"memory_bytes"`
	OverPercent     float64 `json:"over_percent"` // memory beyond the compressed bytes
	// Of MemoryBytes: frames that hold objects, and the objects themselves, with headers and rounded to their classes. The
	// difference is what compaction works on. zram does not tell.
	FrameBytes  int64 `json:"frame_bytes,omitempty"`
	ObjectBytes int64 `json:"object_bytes,omitempty"`
}

// Freed is a store of which a share of the pages was freed, and which was then compacted.
type Freed struct {
	Freed      Level      `json:"freed"`
	Compacted  Level      `json:"compacted"`
	Compaction Compaction `json:"compaction"`
}

// Compaction is what it took to compact a store. zram tells only Frames and TotalNs; the rest is left out of its rows.
type Compaction struct {
	Frames          int64   `json:"frames"` // freed
	Objects         int64   `json:"objects,omitempty"`
	FramesPerObject float64 `json:"frames_per_object,omitempty"` // freed frames over moved objects
	Steps           int     `json:"steps,omitempty"`             // of as many bytes as the background takes
	MedianStepNs    int64   `json:"median_step_ns,omitempty"`
	LongestStepNs   int64   `json:"longest_step_ns,omitempty"`
	TotalNs         int64   `json:"total_ns"`
}

// Comparison is how zswapd does against zram: geometric means over the corpora, above 1 where zswapd is better.
type Comparison struct {
	Codec          string  `json:"codec"`
	Against        string  `json:"against"`
	Threads        int     `json:"threads"`
	StoreRate      float64 `json:"store_rate"`
	RestoreRate    float64 `json:"restore_rate"`
	LoadRate       float64 `json:"load_rate"`
	EffectiveRatio float64 `json:"effective_ratio"`
	AgedRatio      float64 `json:"aged_effective_ratio"` // aged over what zram has, to which nothing happens
}

// WriteJSON writes the result for machines.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
