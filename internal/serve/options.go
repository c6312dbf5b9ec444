package serve

import (
	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/logs"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/zpool"
)

// Options of Run.
type Options struct {
	Config   *config.Config // nil if there are descriptors of a predecessor: then it is what that one went by
	Warnings []string       // of the protections, for the log
	State    string         // folder of records
	Version  string         // of this program, for people
	Log      *logs.Log
	Manager  *sdnotify.Manager // nil: nobody keeps anything
	Handed   map[string]int    // descriptors that the manager has handed over: sdnotify.Listen
	Keeper   int               // process number of our own keeper; 0: there is none

	Program string // that is started when the unit is restarted, whatever we are; "": our own file

	Standby bool // a standby is wanted, whatever the door
	Await   bool // this is one: be ready, and go on when the keeper says so
	Ahead   int  // process number of the daemon that then serves, and must be dead before; 1: an older keeper does not say

	// Load reads the configuration anew. Its error tells every problem at once, and then nothing changes.
	Load func() (*config.Config, error)
}

// reserveBytes of memory are kept faulted in for stores.
const reserveBytes = 8 << 20

// poolOptions returns what the configuration means for a pool, but for what it does by itself: poolWork.
func poolOptions(c *config.Config) zpool.Options {
	return zpool.Options{
		Slots:                  uint64(c.Swap.Size / zpool.PageSize),
		MaxBytes:               c.PoolLimit(),
		CeilingBytes:           max(c.PoolLimit(), c.Swap.Size+c.Swap.Size/16), // more cannot be used
		AcceptThresholdPercent: c.Pool.AcceptThresholdPercent,
		Compressor:             c.Pool.Compressor,
		ReserveBytes:           min(reserveBytes, c.PoolLimit()/8),
		IdleAfter:              c.Recompress.IdleAfter,
		RecompressCodec:        c.Recompress.Codec,
		ClusterSize:            int(c.Recompress.ClusterSize),
		WritebackAfter:         c.Writeback.IdleAfter,
		WipeOnFree:             c.Pool.WipeOnFree,
		MinWastePercent:        c.Compact.MinWastePercent,
		BackingLimits:          backingOptions(c),
	}
}
