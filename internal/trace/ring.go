package trace

import (
	"sync/atomic"
	"time"
)

// ring is a queue from several threads to one, of events and their pages. Putting waits for nobody: it succeeds or finds
// the ring full.
//
//	reserve: one compare-and-swap takes an event's number and its pages' ─► fill the cell ─► ready
//	take:    the cells in the order of their numbers, as long as they are ready ─► give back
//
// Numbers count events and pages modulo 2^32; both lengths are powers of two.
type ring struct {
	cells []cell
	pages []byte
	_     [64]byte      // what several CPUs write lies in lines of its own
	head  atomic.Uint64 // the numbers taken next: events in the high half, pages in the low one
	_     [64]byte
	tail  atomic.Uint64 // the numbers given back, likewise; changed by the taker only
	_     [64]byte
}

// cell is one event. Its owner is who reserved it, until it is ready, and then the taker.
type cell struct {
	ready    atomic.Uint32 // the event's number, plus 1
	page     uint32        // number of the first of its pages, if it is a Store
	op       Op
	at       time.Duration
	first, n uint64
	lost     Lost // dropped just before
}

func newRing(cells, pages int) *ring {
	r := &ring{cells: make([]cell, cells), pages: make([]byte, pages*PageSize)}
	for i := 0; i < len(r.pages); i += PageSize {
		r.pages[i] = 1 // faulted in now, not by a thread that serves
	}
	for i := range r.cells {
		r.cells[i].n = 1
	}
	return r
}

// reserve takes a cell and n pages. ok is false if there is no room; or, without waiting for it, if there was none.
func (r *ring) reserve(n uint32) (number uint32, c *cell, ok bool) {
	for {
		head := r.head.Load()
		tail := r.tail.Load()
		if head != r.head.Load() {
			continue // tail may be ahead of it
		}
		event, page := uint32(head>>32), uint32(head)
		if event-uint32(tail>>32) >= uint32(len(r.cells)) || page-uint32(tail)+n > uint32(len(r.pages)/PageSize) {
			return 0, nil, false
		}
		if r.head.CompareAndSwap(head, uint64(event+1)<<32|uint64(page+n)) {
			c := &r.cells[event%uint32(len(r.cells))]
			c.page = page
			return event, c, true
		}
	}
}

// page returns the memory of a page by its number.
func (r *ring) page(number uint32) []byte {
	at := int(number%uint32(len(r.pages)/PageSize)) * PageSize
	return r.pages[at : at+PageSize : at+PageSize]
}

// next returns the next cell if it is ready.
func (r *ring) next() *cell {
	event := uint32(r.tail.Load() >> 32)
	c := &r.cells[event%uint32(len(r.cells))]
	if c.ready.Load() != event+1 {
		return nil
	}
	return c
}

// release gives back the cell that next returned, and its pages.
func (r *ring) release(pages uint32) {
	tail := r.tail.Load()
	r.tail.Store(uint64(uint32(tail>>32)+1)<<32 | uint64(uint32(tail)+pages))
}

// used returns the share of the pages that is taken.
func (r *ring) used() float64 {
	taken := uint32(r.head.Load()) - uint32(r.tail.Load())
	return float64(taken) / float64(len(r.pages)/PageSize)
}

// empty reports whether everything that was reserved has been given back.
func (r *ring) empty() bool { return r.head.Load() == r.tail.Load() }
