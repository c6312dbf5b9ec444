package fuse

import (
	"sync/atomic"
	"time"
)

const (
	patienceTick  = time.Millisecond      // a request that is still served at the second look is slow
	patienceQuiet = 20 * time.Millisecond // without traffic it stops looking
)

// patience sees to it that a slow request does not hold up the others: while traffic flows it looks, and when
// every thread that is awake is busy with an old request, it calls a parked one. It costs nothing at rest.
type patience struct {
	server  *Server
	threads []*thread
	resting atomic.Bool // who clears it sends the wake-up
	served  atomic.Bool // something was served since the last look
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

func newPatience(s *Server, threads []*thread) *patience {
	p := &patience{server: s, threads: threads, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	p.resting.Store(true)
	go p.run()
	return p
}

// traffic is told of every request.
func (p *patience) traffic() {
	if !p.served.Load() {
		p.served.Store(true)
	}
	if p.resting.Load() && p.resting.CompareAndSwap(true, false) {
		select {
		case p.wake <- struct{}{}:
		default: // a wake-up is on its way
		}
	}
}

func (p *patience) close() {
	if p != nil {
		close(p.stop)
		<-p.done
	}
}

func (p *patience) run() {
	defer close(p.done)
	tick := time.NewTicker(patienceTick)
	tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-p.wake:
		}
		tick.Reset(patienceTick)
		for quiet := time.Duration(0); quiet < patienceQuiet; quiet += patienceTick {
			select {
			case <-p.stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			if p.served.Swap(false) || p.look() {
				quiet = 0
			}
		}
		tick.Stop()
		p.resting.Store(true)
		if p.served.Load() && p.resting.CompareAndSwap(true, false) { // it came before the line above
			p.wake <- struct{}{}
		}
	}
}

// look calls a parked thread if a request is old and nobody watches; it returns whether any is being served.
func (p *patience) look() (busy bool) {
	for _, t := range p.threads {
		since := t.since.Load()
		if since == 0 {
			continue
		}
		busy = true
		if now()-time.Duration(since) >= patienceTick && p.server.crew.wakeOne() {
			p.server.stats.relieved.Add(1)
			return true
		}
	}
	return busy
}
