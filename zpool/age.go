package zpool

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock counts generations. A page's word says in which one it was last stored or loaded, modulo 256, and that is all
// there is to know how long it has been idle: no lists, no memory. The clock advances only while the sweep keeps up with it,
// which makes words that would soon look young again stay at veryOld.
//
// The generation is in the store as well, so that ages mean something to the next process.
type clock struct {
	now atomic.Uint64  // the generation
	at  *atomic.Uint64 // where the store has it

	mu    sync.Mutex
	began [256]time.Duration // when each of the last generations began, by its low 8 bits; guarded by mu
}

// veryOld is the age, in generations, beyond which words are not told apart.
const veryOld = 192

// init starts the clock in the generation that the store is in. Those before had the usual length, as far as anybody knows.
func (c *clock) init(at *atomic.Uint64, now, length time.Duration) {
	c.at = at
	c.now.Store(at.Load())
	for age := range 256 {
		c.began[uint8(int(c.generation())-age)] = now - time.Duration(age)*length
	}
}

// generation returns the current one, as it stands in words.
func (c *clock) generation() uint8 { return uint8(c.now.Load()) }

// age returns how many generations ago a page was last touched.
func (c *clock) age(w word) uint8 { return c.generation() - w.age() }

// tick begins a generation.
func (c *clock) tick(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.now.Load() + 1
	c.began[uint8(next)] = now
	step("clock: about to tick")
	c.at.Store(next)
	c.now.Store(next)
}

// since returns when the current generation began.
func (c *clock) since() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began[c.generation()]
}

// idle returns the least age of pages that have certainly not been touched for d: at least 1, at most veryOld.
func (c *clock) idle(now, d time.Duration) uint8 {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.generation()
	for age := uint8(1); age < veryOld; age++ {
		if now-c.began[g-age+1] >= d { // a page of generation g-age was touched before the one after it began
			return age
		}
	}
	return veryOld
}
