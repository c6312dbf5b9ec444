package zpool

import (
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/internal/histogram"
)

// counters are one worker's: nobody else writes them, so counting costs no cache line that is shared.
type counters struct {
	invalidated                 atomic.Uint64 // pages
	rejectedFull, rejectedAlloc atomic.Uint64
	corrupt                     atomic.Uint64
	sameFilled, incompressible  atomic.Int64 // pages that came less those that went; a sum over workers means something
	compressedBytes             atomic.Int64 // likewise
	cold, clusters, coldBytes   atomic.Int64 // likewise: cold pages, cluster objects, and the bytes of what cold pages are in
	written                     atomic.Int64 // likewise: pages in the backing file
	unreadable                  atomic.Uint64
	promoted                    atomic.Uint64 // cold pages that became hot again
	storeTime, loadTime         histogram.Histogram
	coldTime                    histogram.Histogram // loads of one page that was cold and had to be unpacked
	diskTime                    histogram.Histogram // loads of one page that had to be read from the backing file
}

// count counts that a slot's word changed; 0 is an empty slot.
func (c *counters) count(old, new word) {
	add(&c.sameFilled, new.sameFilled()-old.sameFilled())
	add(&c.incompressible, new.incompressible()-old.incompressible())
	add(&c.compressedBytes, new.memory()-old.memory())
	add(&c.cold, new.coldPages()-old.coldPages())
	add(&c.written, new.written()-old.written())
	add(&c.coldBytes, new.coldMemory()-old.coldMemory())
}

// countCluster counts a cluster object that was made (sign 1) or freed (-1).
func (c *counters) countCluster(length, sign int64) {
	add(&c.clusters, sign)
	add(&c.compressedBytes, sign*length)
	add(&c.coldBytes, sign*length)
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

	ColdPages                         int64 // of those stored: packed again since nobody used them
	ColdBytes                         int64 // of CompressedBytes, those of cold pages
	Clusters                          int64 // objects of several of them
	Recompressed                      Recompressed
	Promoted                          uint64             // cold pages that became hot again
	PackCPU                           time.Duration      // that recompression took
	PackTime                          histogram.Snapshot // the same per page
	ColdLoadTime                      histogram.Snapshot // loads of one page that had to be unpacked
	Ticks, Sweeps, Compactions, Trims uint64             // steps of the background
	Warnings80, Warnings95            uint64             // times that so many percent of the limit were used, or a page refused before

	WrittenPages int64 // of those stored: in the backing file
	WrittenBack  Written
	Cleaned      Cleaned
	Backing      backing.Stats      // zeros: there is none
	BackingError error              // the last failure of the disk that writeback met; nil: none
	DiskLoadTime histogram.Snapshot // loads of one page that had to be read from the backing file

	Stores, Loads, Invalidated uint64 // pages
	PoolLimitHit               uint64 // times that the limit refused a page
	RejectedFull               uint64 // pages refused by the limit, or after it by the accept threshold
	RejectedAllocFail          uint64 // pages refused because the system had no memory
	Corrupt                    uint64 // pages found damaged
	Unreadable                 uint64 // pages that the disk did not give back
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
		MemoryBytes: b.Used(), PeakMemoryBytes: b.Peak(), LimitBytes: p.limit.Load(), PoolLimitHit: p.limitHit.Load(),
	}
	s.PagesCompacted, s.ObjectsMigrated = p.zs.Moved()
	s.CompactionPause = p.zs.Pauses()
	p.tiers.stats(&s)
	p.writeback.stats(&s)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.mu.workers {
		s.SameFilledPages += w.sameFilled.Load()
		s.IncompressiblePages += w.incompressible.Load()
		s.CompressedBytes += w.compressedBytes.Load()
		s.ColdPages += w.counters.cold.Load()
		s.Clusters += w.clusters.Load()
		s.WrittenPages += w.written.Load()
		s.ColdBytes += w.coldBytes.Load()
		s.Promoted += w.promoted.Load()
		s.Invalidated += w.invalidated.Load()
		s.RejectedFull += w.rejectedFull.Load()
		s.RejectedAllocFail += w.rejectedAlloc.Load()
		s.Corrupt += w.corrupt.Load()
		s.Unreadable += w.unreadable.Load()
		stores, loads := w.storeTime.Snapshot(), w.loadTime.Snapshot()
		s.StoreTime, s.LoadTime = s.StoreTime.Add(&stores), s.LoadTime.Add(&loads)
		cold := w.coldTime.Snapshot()
		s.ColdLoadTime = s.ColdLoadTime.Add(&cold)
		disk := w.diskTime.Snapshot()
		s.DiskLoadTime = s.DiskLoadTime.Add(&disk)
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

// stats fills in the numbers of the backing file.
func (b *writeback) stats(s *Stats) {
	b.told.Lock()
	s.WrittenBack, s.Cleaned, s.BackingError = b.told.did, b.told.clean, b.told.err
	b.told.Unlock()
	if f := b.file.Load(); f != nil {
		s.Backing = f.Stats()
	}
}

// stats fills in the numbers of the background.
func (t *tiers) stats(s *Stats) {
	t.told.Lock()
	s.Recompressed, s.PackCPU = t.told.did, t.told.spent
	t.told.Unlock()
	s.PackTime = t.packTime.Snapshot()
	s.Ticks, s.Sweeps, s.Compactions, s.Trims = t.steps[actTick].Load(), t.steps[actSweep].Load(), t.steps[actCompact].Load(), t.steps[actTrim].Load()
	s.Warnings80, s.Warnings95 = t.alarm.count[0].Load(), t.alarm.count[1].Load()
}
