package fuse

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/histogram"
)

// counters are bumped by the serving threads.
type counters struct {
	reads, readPages, readErrors            atomic.Uint64
	writes, writtenPages, writeErrors       atomic.Uint64
	discards, discardedPages, discardErrors atomic.Uint64
	malformed, replyErrors, resent          atomic.Uint64
	refusedWrites, panics                   atomic.Uint64
	spins, spinHits, spinsRefused, blocks   atomic.Uint64
	helped, relieved                        atomic.Uint64
	load, store                             histogram.Histogram
}

// Stats is a snapshot of a Server. Errors are not counted as reads, writes or discards.
type Stats struct {
	Reads, ReadPages, ReadErrors            uint64
	Writes, WrittenPages, WriteErrors       uint64
	Discards, DiscardedPages, DiscardErrors uint64
	RefusedWrites                           uint64 // of pages that the store has no room for; no errors
	Malformed                               uint64 // requests that could not be parsed, or ask for what there is not
	Panics                                  uint64 // requests that ended in an error because of a bug of ours
	ReplyErrors                             uint64 // replies that the kernel refused, withdrawn requests aside
	Resent                                  uint64 // requests that a dead server had read and not answered

	Spins, SpinHits uint64 // waits that began with spinning, and those that it ended
	SpinsRefused    uint64 // waits that did not spin because no CPU was free for it
	Blocks          uint64 // waits that ended in the kernel: each costs a wake-up
	Helped          uint64 // times a second thread was called because requests piled up
	Relieved        uint64 // times a second thread was called because one request took long

	Load, Store histogram.Snapshot // from the return of read(2) to the reply
	Resend      bool               // the kernel agreed, at INIT or when the server was adopted, to send again what a dead one had read
	Locked      bool               // all buffers are locked in memory
}

// Errors returns how many requests ended in one, refused pages apart.
func (s *Stats) Errors() uint64 {
	return s.ReadErrors + s.WriteErrors + s.DiscardErrors + s.Malformed + s.ReplyErrors + s.Panics
}

// ReadBytes returns the bytes read.
func (s *Stats) ReadBytes() uint64 { return s.ReadPages * pageBytes }

// WrittenBytes returns the bytes written.
func (s *Stats) WrittenBytes() uint64 { return s.WrittenPages * pageBytes }

// Stats returns a snapshot; it takes no lock and costs tens of microseconds for the histograms.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Reads: c.reads.Load(), ReadPages: c.readPages.Load(), ReadErrors: c.readErrors.Load(),
		Writes: c.writes.Load(), WrittenPages: c.writtenPages.Load(), WriteErrors: c.writeErrors.Load(),
		Discards: c.discards.Load(), DiscardedPages: c.discardedPages.Load(), DiscardErrors: c.discardErrors.Load(),
		RefusedWrites: c.refusedWrites.Load(), Panics: c.panics.Load(),
		Malformed: c.malformed.Load(), ReplyErrors: c.replyErrors.Load(), Resent: c.resent.Load(),
		Spins: c.spins.Load(), SpinHits: c.spinHits.Load(), SpinsRefused: c.spinsRefused.Load(), Blocks: c.blocks.Load(),
		Helped: c.helped.Load(), Relieved: c.relieved.Load(),
		Load: c.load.Snapshot(), Store: c.store.Snapshot(),
		Resend: s.flags.Load()&initHasResend != 0, Locked: s.locked,
	}
}
