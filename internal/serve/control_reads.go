package serve

import (
	"fmt"

	"go.uber.org/zap/zapcore"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/zpool"
)

// Info is what the loop has published, the state of now, and what the numbers say.
func (c *controls) Info() control.Info {
	i := c.told.Load().info
	if i.State = c.d.State(); i.State == StateDrained {
		i.Door.Device = ""
	}
	leave, ok := c.enter()
	if !ok {
		return i
	}
	defer leave()
	i.Problems = append([]string(nil), i.Problems...)
	if n := c.d.pool.Stats().Corrupt; n > 0 {
		i.Problems = append(i.Problems, fmt.Sprintf("%d pages were found damaged: programs that needed them were told so, or killed", n))
	}
	if s := c.d.door.Stats(); s.ReplyErrors+s.Malformed > 0 {
		i.Problems = append(i.Problems, fmt.Sprintf("%d requests of the kernel's were not understood, %d replies were refused", s.Malformed, s.ReplyErrors))
	}
	return i
}

// Stats adds up what pool, door and process know.
func (c *controls) Stats() control.Stats {
	leave, ok := c.enter()
	if !ok {
		return control.Stats{}
	}
	defer leave()
	s, door := c.d.pool.Stats(), c.d.door.Stats()
	used, err := c.d.door.Used()
	if err != nil {
		used = 0 // swap is off
	}
	out := control.Stats{
		StoredPages: s.StoredPages, SameFilledPages: s.SameFilledPages, IncompressiblePages: s.IncompressiblePages,
		CompressedBytes: s.CompressedBytes, MemoryBytes: s.MemoryBytes, PeakMemoryBytes: s.PeakMemoryBytes,
		LimitBytes: s.LimitBytes, Full: c.d.pool.Full(), SwapBytes: int64(used),
		Tiers: []control.Tier{{Name: "fast", Codec: c.d.pool.Compressor(), Pages: s.StoredPages - s.SameFilledPages,
			CompressedBytes: s.CompressedBytes}},
		Stores: s.Stores, Loads: s.Loads, Invalidated: s.Invalidated, PoolLimitHit: s.PoolLimitHit,
		Rejected: map[string]uint64{"full": s.RejectedFull, "alloc_fail": s.RejectedAllocFail},
		Corrupt:  s.Corrupt, PagesCompacted: s.PagesCompacted, ObjectsMigrated: s.ObjectsMigrated,
		IOErrors: ioErrors(&s, door.WriteErrors) + door.ReadErrors + door.DiscardErrors, Resent: door.Resent,
		Store: s.StoreTime, Load: s.LoadTime, Fault: door.Load, CompactionPause: s.CompactionPause,
	}
	out.Process()
	return out
}

// ioErrors returns how many writes failed for another reason than that a page was refused: each refusal ends one write.
func ioErrors(s *zpool.Stats, failed uint64) uint64 {
	return failed - min(failed, s.RejectedFull+s.RejectedAllocFail)
}

// Settings are those in force.
func (c *controls) Settings() []control.Setting { return c.told.Load().settings }

// Events are the last lines of the log.
func (c *controls) Events() (list []control.Event) {
	for _, e := range c.d.o.Log.Recent.Events() {
		level := control.LevelInfo
		switch {
		case e.Level >= zapcore.ErrorLevel:
			level = control.LevelError
		case e.Level == zapcore.WarnLevel:
			level = control.LevelWarn
		}
		list = append(list, control.Event{Time: e.Time, Level: level, Message: e.Message})
	}
	return list
}
