package config

import "time"

// Config is what is in force, all values checked. Sizes are bytes, in whole pages. It is not changed once it was made.
type Config struct {
	Door       string // DoorAuto, DoorFUSE or DoorUBLK
	Swap       Swap
	Pool       Pool
	Recompress Recompress
	Writeback  Writeback
	Compact    Compact
	Serve      Serve
	Metrics    Metrics
	Control    Control
	Log        Log

	ram     int64
	entries []entry           // all that was read, in the order in which it counts
	origins map[string]Origin // of the keys that somebody set
}

// Values of Config.Door.
const (
	DoorAuto = "auto"
	DoorFUSE = "fuse"
	DoorUBLK = "ublk"
)

// Swap is the device that the kernel sees.
type Swap struct {
	Size     int64 // bytes of pages, before they are compressed
	Priority int   // 0..32767

	BehindZswap bool // the kernel's zswap is meant to be on
}

// Pool is where the pages live.
type Pool struct {
	MaxPoolPercent         int   // of RAM, 1..100
	MaxPoolSize            int64 // in its place; 0: not set
	AllowOverHalf          bool
	AcceptThresholdPercent int // of the limit, 1..100
	Compressor             string
	WipeOnFree             bool
}

// Recompress says when and how pages that rest are packed tighter.
type Recompress struct {
	IdleAfter   time.Duration
	Codec       string // a compressor, or None
	ClusterSize int64  // bytes of pages that are compressed together; a power of two
}

// None in the place of a codec: do not.
const None = "none"

// Writeback says when and where the coldest pages go to a disk.
type Writeback struct {
	File        string // "": nowhere
	IdleAfter   time.Duration
	Size        int64 // bytes of the file
	LimitPerDay int64 // bytes; 0: no limit
}

// Compact is of the pool's background compaction.
type Compact struct {
	MinWastePercent int // of the pool's frames
}

// Values of Serve.LatencyHold that are no rates; as in package run.
const (
	HoldOff  = -1
	HoldAuto = -2
)

// Serve is how requests are answered.
type Serve struct {
	LatencyHold float64       // faults per second from which on CPUs are kept awake; or HoldAuto, HoldOff
	Spin        time.Duration // longest time to spin for the next request
	Threads     int           // 0: what suits the machine
}

// Metrics are for Prometheus.
type Metrics struct {
	Listen string // "" or a loopback address with a port
}

// Control is the socket for zswapd status and its like.
type Control struct {
	Socket string // absolute path
	Group  string // whose members may read; "": root only
}

// Log of the service.
type Log struct {
	Level string // debug, info, warn or error
}

// RAM returns the bytes that sizes were computed with.
func (c *Config) RAM() int64 { return c.ram }

// PoolLimit returns the most memory that the pool may take, in bytes: never more than the swap device holds, which a pool that
// saves anything cannot fill.
func (c *Config) PoolLimit() int64 {
	limit := c.Pool.MaxPoolSize
	if limit == 0 {
		limit = pages(float64(c.ram) / 100 * float64(c.Pool.MaxPoolPercent))
	}
	return min(limit, c.Swap.Size)
}
