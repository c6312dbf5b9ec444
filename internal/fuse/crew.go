package fuse

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// helpAfter is the number of requests in a row, each there when the one before was answered, after which a
// second thread is called. One round of reclaim (32 pages, in up to 32 requests) must not reach it: with 16, a second
// thread was woken for every round, the work wandered between the CPUs, and a program touching twice its memory
// limit ran 10 % slower (two CPUs).
const helpAfter = 64

// pollWithP is how long a blocking wait keeps the Go scheduler's P. Traffic comes back sooner as a rule, and then the
// scheduler need not find us a P again; afterwards the P is free, and we sleep for good.
const pollWithP = time.Millisecond

// crew is what the threads share: who watches the queue and who is parked.
//
// At least one thread is always awake or watching: a thread parks only while another one watches, and who
// watched reads the queue again before it parks.
type crew struct {
	watched  atomic.Bool   // a thread spins or polls for all
	parked   atomic.Int32  // threads that are, or are about to be, asleep on calls
	calls    atomic.Uint32 // futex: changes with every call
	stopping atomic.Bool
	keepP    bool // the Go scheduler has other Ps; immutable after init

	// The fields below belong to the thread that watches.
	spin spin
	idle idleProbe
}

func (c *crew) init(spinMax time.Duration) {
	c.keepP = runtime.GOMAXPROCS(0) > 1
	c.spin.max = spinMax
	c.idle.init()
}

// park sleeps until somebody calls, unless nobody watches.
func (c *crew) park() {
	call := c.calls.Load()
	c.parked.Add(1)
	if c.watched.Load() && !c.stopping.Load() {
		futexWait(&c.calls, call)
	}
	c.parked.Add(-1)
}

// wakeOne calls a parked thread, if there is one.
func (c *crew) wakeOne() bool {
	if c.parked.Load() == 0 || c.watched.Load() {
		return false
	}
	c.calls.Add(1)
	futexWake(&c.calls, 1)
	return true
}

// stopAll ends all threads, parked ones included; the one that watches needs a signal of its own.
func (c *crew) stopAll() {
	c.stopping.Store(true)
	c.calls.Add(1)
	futexWake(&c.calls, maxThreads)
}

// wait waits until a request can be read, as the one that watches or parked. It may return EAGAIN.
func (t *thread) wait() (int, unix.Errno) {
	t.streak = 0
	c := &t.server.crew
	if !c.watched.CompareAndSwap(false, true) {
		c.park()
		return t.read()
	}
	n, errno := t.watch()
	c.watched.Store(false)
	return n, errno
}

// watch spins for the next request, if that is worth it, and then polls.
func (t *thread) watch() (int, unix.Errno) {
	c, stats := &t.server.crew, &t.server.stats
	begin := now()
	if window := c.spin.window; window > 0 {
		if !c.idle.ask(begin) {
			stats.spinsRefused.Add(1)
		} else {
			stats.spins.Add(1)
			for now()-begin < window {
				if n, errno := t.read(); errno != unix.EAGAIN {
					stats.spinHits.Add(1)
					return n, errno
				}
				// Whoever waits for this CPU may be the one that brings the request: the loop device's
				// worker, or the softirq thread that ends the last one. Nearly free when nobody does.
				rawYield()
			}
		}
	}
	stats.blocks.Add(1)
	// A stop-the-world is not held up: its signal ends the poll.
	if !c.keepP || !rawPoll(t.fds[:], pollWithP) {
		_, _ = unix.Ppoll(t.fds[:], nil, nil) // read will say what there is
	}
	c.spin.learn(now() - begin)
	return t.read()
}
