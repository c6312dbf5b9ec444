package ublk

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/histogram"
)

// counters are bumped by the serving thread.
type counters struct {
	reads, readPages, readErrors            atomic.Uint64
	writes, writtenPages, writeErrors       atomic.Uint64
	discards, discardedPages, discardErrors atomic.Uint64
	malformed, copyErrors, waits            atomic.Uint64
	refusedWrites, panics                   atomic.Uint64
	load, store                             histogram.Histogram
}

// Stats is a snapshot of a Server. Errors are not counted as reads, writes or discards.
type Stats struct {
	Reads, ReadPages, ReadErrors            uint64
	Writes, WrittenPages, WriteErrors       uint64
	Discards, DiscardedPages, DiscardErrors uint64
	RefusedWrites                           uint64 // of pages that the store has no room for; no errors
	Malformed                               uint64 // requests that make no sense
	Panics                                  uint64 // requests that ended in an error because of a bug of ours
	CopyErrors                              uint64 // times that the driver did not copy; the request ended in an error
	Waits                                   uint64 // times that the thread slept

	Load, Store histogram.Snapshot // from the moment that a request is looked at to its answer
	Locked      bool               // the buffer is locked in memory
}

// Stats returns a snapshot; it takes no lock and costs tens of microseconds for the histograms.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Reads: c.reads.Load(), ReadPages: c.readPages.Load(), ReadErrors: c.readErrors.Load(),
		Writes: c.writes.Load(), WrittenPages: c.writtenPages.Load(), WriteErrors: c.writeErrors.Load(),
		Discards: c.discards.Load(), DiscardedPages: c.discardedPages.Load(), DiscardErrors: c.discardErrors.Load(),
		RefusedWrites: c.refusedWrites.Load(), Panics: c.panics.Load(),
		Malformed: c.malformed.Load(), CopyErrors: c.copyErrors.Load(), Waits: c.waits.Load(),
		Load: c.load.Snapshot(), Store: c.store.Snapshot(), Locked: s.locked,
	}
}
