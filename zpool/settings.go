package zpool

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/arena"
)

// Settings are what can change while a pool works. Objects that were made under other settings stay as they are and can be
// read; those under a codec that is not in use any more, too.
type Settings struct {
	MaxBytes               int64         // limit of all memory that the pool takes
	AcceptThresholdPercent int           // a pool that hit its limit refuses pages until it is back at this share of it
	IdleAfter              time.Duration // a page that was not stored or loaded for so long is idle
	RecompressCodec        string        // what idle pages are packed with: a name that compressor.New takes; "none": nothing
	ClusterSize            int           // bytes of the neighbours that are packed together, a power of two of pages
	WritebackAfter         time.Duration // a page idle for so long is written to the backing file, if there is one, though memory is not short; 0: none is
	MinWastePercent        int           // share of the memory that must be freeable for compaction to begin
}

// DefaultSettings are those of a pool that was told nothing, but for its limit.
func DefaultSettings() Settings {
	return Settings{
		AcceptThresholdPercent: 90, IdleAfter: 30 * time.Second, RecompressCodec: "zstd", ClusterSize: 4 * PageSize, MinWastePercent: 6,
	}
}

func (s *Settings) validate(ceiling int64) (err error) {
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			err = errors.Join(err, fmt.Errorf(format, args...))
		}
	}
	bad(s.MaxBytes >= MinBytes && s.MaxBytes <= ceiling, "pool limit = %d bytes: want %d..%d", s.MaxBytes, MinBytes, ceiling)
	bad(s.AcceptThresholdPercent >= 1 && s.AcceptThresholdPercent <= 100, "accept threshold = %d %%: want 1..100", s.AcceptThresholdPercent)
	bad(s.IdleAfter >= 0 && s.IdleAfter <= 365*24*time.Hour, "idle after = %v: want 0 to a year", s.IdleAfter)
	bad(s.WritebackAfter >= 0 && s.WritebackAfter <= 365*24*time.Hour, "writeback after = %v: want 0 to a year", s.WritebackAfter)
	pages := s.ClusterSize / PageSize
	bad(pages*PageSize == s.ClusterSize && pages >= 1 && pages <= MaxClusterPages && bits.OnesCount(uint(pages)) == 1,
		"cluster size = %d bytes: want a power of two from %d to %d", s.ClusterSize, PageSize, MaxClusterPages*PageSize)
	if _, e := compressor.Canonical(s.RecompressCodec); e != nil {
		err = errors.Join(err, e)
	}
	bad(s.MinWastePercent >= 1 && s.MinWastePercent <= 100, "minimal waste = %d %%: want 1..100", s.MinWastePercent)
	return err
}

// Settings returns the settings in force.
func (p *Pool) Settings() Settings {
	s := *p.settings.Load()
	s.MaxBytes = p.limit.Load()
	return s
}

// Set puts settings in force, all of them or, with every problem in the error, none.
func (p *Pool) Set(s Settings) error {
	if err := s.validate(p.super.maxFrames * arena.FrameSize); err != nil {
		return fmt.Errorf("zpool: settings: %w", err)
	}
	t := &p.tiers
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.useLocked(s); err != nil {
		return fmt.Errorf("zpool: settings: %w", err)
	}
	lower := s.MaxBytes < p.limit.Swap(s.MaxBytes)
	t.leaveHeadroomLocked()
	p.limitMemory(lower)
	t.wake()
	return nil
}
