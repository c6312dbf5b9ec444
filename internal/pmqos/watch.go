package pmqos

import "time"

// pace decides when to hold. It is pure: the caller brings the counter and the time.
type pace struct {
	threshold float64       // events per second
	quiet     time.Duration // how long to hold below the threshold
	seen      uint64        // the counter at the last step
	slow      time.Duration // time since the threshold was last reached
	hold      bool
}

// step takes the counter after elapsed time and says whether the traffic has stopped for good:
// nothing is held and nothing came.
func (p *pace) step(events uint64, elapsed time.Duration) (rest bool) {
	n := events - p.seen
	p.seen = events
	if n > 0 && float64(n) >= p.threshold*elapsed.Seconds() {
		p.hold, p.slow = true, 0
		return false
	}
	p.slow += elapsed
	p.hold = p.hold && p.slow < p.quiet
	return n == 0 && !p.hold
}

// watch sleeps until an event wakes it, and then looks at the counter until traffic has stopped.
func (h *Hold) watch() {
	defer close(h.done)
	p := pace{threshold: h.opt.Threshold, quiet: h.opt.Quiet}
	for {
		select {
		case <-h.stop:
			return
		case <-h.wake:
		}
		if !h.look(&p) {
			return
		}
	}
}

// look follows one burst of traffic to its end; false when it is time to stop.
func (h *Hold) look(p *pace) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := time.Now()
	p.step(h.events.Load(), lookEvery) // the first event counts as one in lookEvery: a threshold of 0 holds at once
	for {
		h.apply(p.hold)
		select {
		case <-h.stop:
			return false
		case <-tick.C:
		}
		now := time.Now()
		rest := p.step(h.events.Load(), now.Sub(last))
		last = now
		if !rest {
			continue
		}
		h.apply(false)
		h.resting.Store(true)
		// An event that came before that line sent no wake-up. Whoever clears the flag owns the burst.
		if h.events.Load() == p.seen || !h.resting.CompareAndSwap(true, false) {
			return true
		}
	}
}

// apply makes the request to the kernel follow hold.
func (h *Hold) apply(hold bool) {
	if hold == h.holding.Load() {
		return
	}
	request := int32(noRequest)
	if hold {
		request = 0
	}
	if err := h.write(request); err != nil {
		h.failed.Add(1) // the next look tries again
		return
	}
	if hold {
		h.raised.Add(1)
	}
	h.holding.Store(hold)
}
