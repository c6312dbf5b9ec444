package swapbench

import (
	"encoding/json"
	"io"

	"github.com/zswapd/zswapd/internal/machine"
)

// Version is that of the JSON form. Fields are added, none is removed or renamed.
const Version = 1

// Result is what was measured.
type Result struct {
	Version  int             `json:"version"`
	Machine  machine.Machine `json:"machine"` // at the start; page_cluster as it was during the runs
	Noise    machine.Noise   `json:"noise"`   // of all the time, setting up included
	Settings Settings        `json:"settings"`
	Rows     []Row           `json:"rows"`
}

// Settings are what was asked for. Sizes are in bytes.
type Settings struct {
	Args            []string `json:"args"`     // the command; empty: the built-in workload
	Workload        string   `json:"workload"` // "" with a command
	MemoryBytes     int64    `json:"memory_bytes"`
	SizeBytes       int64    `json:"size_bytes"`       // of the built-in workload
	DurationSeconds float64  `json:"duration_seconds"` // of its touches
	SwapBytes       int64    `json:"swap_bytes"`
	Rounds          int      `json:"rounds"`
	Compressor      string   `json:"compressor"` // of zswapd
	Seed            uint64   `json:"seed"`

	PoolLimitBytes        int64   `json:"pool_limit_bytes,omitempty"` // of zswapd; 0, and so for those below: as it comes
	ColdCodec             string  `json:"cold_codec,omitempty"`
	IdleAfterSeconds      float64 `json:"idle_after_seconds,omitempty"`
	WritebackAfterSeconds float64 `json:"writeback_after_seconds,omitempty"`
	Backing               bool    `json:"backing,omitempty"` // with a backing file
}

// Row is one system. A round that never came to its end for lack of memory is missing in Runs.
type Row struct {
	System      string `json:"system"` // zswapd, none, zram:ALGORITHM or file
	LatencyHold string `json:"latency_hold"`
	Default     bool   `json:"default"` // zswapd as it comes
	// OOMKilled are the runs that the cgroup's OOM killer ended, and that were repeated.
	OOMKilled int       `json:"oom_killed"`
	Median    Figures   `json:"median"`
	Min       Figures   `json:"min"`
	Max       Figures   `json:"max"`
	Runs      []Figures `json:"runs"`
	// SpeedOfZRAM is how fast it was as a share of the first zram with the same hold: touches per second; with a command,
	// the inverse of its wall time. 0: there is no such zram.
	SpeedOfZRAM float64 `json:"speed_of_zram"`

	name string // for people
}

// Figures are those of one run, or what is in the middle of several or at their ends, each by itself.
type Figures struct {
	WallSeconds float64 `json:"wall_seconds"` // of the command; of the built-in workload with filling and verifying

	// Of the built-in workload; 0 with a command. Latencies are those of touches that waited for swap.
	TouchesPerSecond float64 `json:"touches_per_second"`
	FaultP50Ns       float64 `json:"fault_p50_ns"`
	FaultP90Ns       float64 `json:"fault_p90_ns"`
	FaultP99Ns       float64 `json:"fault_p99_ns"`
	FillSeconds      float64 `json:"fill_seconds"`

	MajorFaults float64 `json:"major_faults"`
	// SwappedBytes is the most that was swapped out, MemoryBytes what the device took for it then, all overhead counted,
	// PeakMemoryBytes what it took at most, and Ratio the first over the second. A file takes no memory, and has no ratio. The
	// memory of our process beside its pool, at the end, is apart: its program, heap and stacks, which do not grow with the pool.
	SwappedBytes    float64 `json:"swapped_bytes"`
	MemoryBytes     float64 `json:"memory_bytes"`
	PeakMemoryBytes float64 `json:"peak_memory_bytes"`
	Ratio           float64 `json:"ratio"`

	DaemonMemoryBytes float64 `json:"daemon_memory_bytes"`

	// Where the CPUs' seconds went while the command ran. The rest is everybody else's: threads of the kernel, which
	// work for swap too, and what else the machine did.
	CommandUserSeconds   float64 `json:"command_user_seconds"`
	CommandSystemSeconds float64 `json:"command_system_seconds"`
	DaemonUserSeconds    float64 `json:"daemon_user_seconds"`
	DaemonSystemSeconds  float64 `json:"daemon_system_seconds"`
	RestUserSeconds      float64 `json:"rest_user_seconds"`
	RestSystemSeconds    float64 `json:"rest_system_seconds"`
	StolenShare          float64 `json:"stolen_share"` // of the CPUs' time, by other machines
}

// WriteJSON writes the result for machines.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
