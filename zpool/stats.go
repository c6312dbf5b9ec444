package zpool

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/histogram"
)

// counters are one worker's: nobody else writes them, so counting costs no cache line that is shared.
type counters struct {
	invalidated                 atomic.Uint64 // pages
	rejectedFull, rejectedAlloc atomic.Uint64
	corrupt                     atomic.Uint64
	sameFilled, incompressible  atomic.Int64 // pages that came less those that went; a sum over workers means something
	compressedBytes             atomic.Int64 // likewise
	storeTime, loadTime         histogram.Histogram
}

// count counts that a slot's word changed; 0 is an empty slot.
func (c *counters) count(old, new word) {
	add(&c.sameFilled, new.sameFilled()-old.sameFilled())
	add(&c.incompressible, new.incompressible()-old.incompressible())
	add(&c.compressedBytes, new.memory()-old.memory())
}

// add spares the atomic addition of nothing.
func add(counter *atomic.Int64, n int64) {
	if n != 0 {
		counter.Add(n)
	}
}

// Stats are the numbers of a pool, under the names that zswap and zram have for them.
type Stats struct {
	StoredPages         int64 // in the pool now, same-filled ones among them
	SameFilledPages     int64
	IncompressiblePages int64 // kept raw (zram's huge_pages)
	CompressedBytes     int64 // bytes of the objects; a raw page counts whole
	MemoryBytes         int64 // all that the pool takes: frames, tables, slack
	PeakStoredPages     int64
	PeakStoredMemory    int64 // MemoryBytes when PeakStoredPages was reached
	PeakMemoryBytes     int64
	LimitBytes          int64

	Stores, Loads, Invalidated uint64 // pages
	PoolLimitHit               uint64 // times that the limit refused a page
	RejectedFull               uint64 // pages refused by the limit, or after it by the accept threshold
	RejectedAllocFail          uint64 // pages refused because the system had no memory
	Corrupt                    uint64 // pages found damaged
	PagesCompacted             uint64 // frames freed by compaction
	ObjectsMigrated            uint64 // objects moved by compaction

	StoreTime, LoadTime histogram.Snapshot // per page
	CompactionPause     histogram.Snapshot // time that compaction held the lock of a size class
}

// Stats adds the numbers up. It costs some microseconds and stops nobody; counters that are bumped meanwhile may
// disagree by a page.
func (p *Pool) Stats() (s Stats) {
	b := p.a.Budget()
	s = Stats{
		StoredPages: p.stored.Load(), PeakStoredPages: p.peakStored.Load(), PeakStoredMemory: p.peakMemory.Load(),
		MemoryBytes: b.Used(), PeakMemoryBytes: b.Peak(), LimitBytes: b.Limit(), PoolLimitHit: p.limitHit.Load(),
	}
	s.PagesCompacted, s.ObjectsMigrated = p.zs.Moved()
	s.CompactionPause = p.zs.Pauses()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.mu.workers {
		s.SameFilledPages += w.sameFilled.Load()
		s.IncompressiblePages += w.incompressible.Load()
		s.CompressedBytes += w.compressedBytes.Load()
		s.Invalidated += w.invalidated.Load()
		s.RejectedFull += w.rejectedFull.Load()
		s.RejectedAllocFail += w.rejectedAlloc.Load()
		s.Corrupt += w.corrupt.Load()
		stores, loads := w.storeTime.Snapshot(), w.loadTime.Snapshot()
		s.StoreTime, s.LoadTime = s.StoreTime.Add(&stores), s.LoadTime.Add(&loads)
	}
	s.Stores, s.Loads = s.StoreTime.Count, s.LoadTime.Count
	return s
}

// Ratio returns the bytes of the pages stored over all memory that the pool took for them, when it held the most pages.
// It is 0 for a pool that never held any.
func (s *Stats) Ratio() float64 {
	if s.PeakStoredMemory == 0 {
		return 0
	}
	return float64(s.PeakStoredPages*PageSize) / float64(s.PeakStoredMemory)
}
