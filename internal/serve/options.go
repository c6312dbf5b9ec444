package serve

import (
	"time"

	"github.com/zswapd/zswapd/internal/logs"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Settings are what an operator decides. A successor finds them as JSON: fields may be added.
type Settings struct {
	Door      string `json:"door"`       // DoorAuto, DoorFUSE or DoorUBLK
	SwapBytes int64  `json:"swap_bytes"` // of the device
	Priority  int    `json:"priority"`

	PoolBytes              int64  `json:"pool_bytes"` // hard limit, all overhead counted
	AcceptThresholdPercent int    `json:"accept_threshold_percent"`
	Compressor             string `json:"compressor"`
	WipeOnFree             bool   `json:"wipe_on_free"`

	HoldRate float64       `json:"hold_rate"` // faults per second from which on CPUs are kept awake; HoldAuto, HoldOff
	SpinMax  time.Duration `json:"spin_ns"`
	Threads  int           `json:"threads"`

	LogLevel string `json:"log_level"`
}

// Values of Settings.Door.
const (
	DoorAuto = "auto"
	DoorFUSE = "fuse"
	DoorUBLK = "ublk"
)

// Values of Settings.HoldRate that are no rates.
const (
	HoldOff  = -1
	HoldAuto = -2
)

// Options of Run.
type Options struct {
	Settings Settings
	Warnings []string // of the protections, for the log
	State    string   // folder of records
	Version  string   // of this program, for people
	Log      *logs.Log
	Manager  *sdnotify.Manager // nil: nobody keeps anything
	Handed   map[string]int    // descriptors that the manager has handed over: sdnotify.Listen
	Keeper   int               // process number of our own keeper; 0: there is none

	// Load reads the settings anew; nil: there is nothing to read. It returns every problem at once, and then changes nothing.
	Load func() (Settings, error)
}

// reserveBytes of memory are kept faulted in for stores.
const reserveBytes = 8 << 20

// pool returns what the settings mean for a pool. thread is called on the thread that waits for memory.
func (s *Settings) pool(thread func()) zpool.Options {
	return zpool.Options{
		Slots:                  uint64(s.SwapBytes / zpool.PageSize),
		MaxBytes:               s.PoolBytes,
		CeilingBytes:           max(s.PoolBytes, s.SwapBytes+s.SwapBytes/16), // more cannot be used
		AcceptThresholdPercent: s.AcceptThresholdPercent,
		Compressor:             s.Compressor,
		ReserveBytes:           min(reserveBytes, s.PoolBytes/8),
		ReserveThread:          thread,
		Compactor:              &zsmalloc.CompactorOptions{},
	}
}
