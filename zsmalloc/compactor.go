package zsmalloc

import (
	"sync"
	"sync/atomic"
	"time"
)

// CompactorOptions say when background compaction is worth its copies. Zero values mean the defaults.
type CompactorOptions struct {
	// MinWastePercent is the share of the pool's frames that must be freeable before it begins; it goes on until
	// half of that is left. Default 6.
	MinWastePercent int
	// Budget is how many bytes one step copies. Default DefaultBudget.
	Budget int
	// Rest is how long it rests after a step, in multiples of the step's own time. Default 4: a fifth of a CPU.
	Rest int
	// Delay is how long it waits after a wake-up, for more of the same to come. Default 100 ms.
	Delay time.Duration
	// Idle is how long nobody takes a ready frame before all are given back to the system. Default 2 s.
	Idle time.Duration
}

// DefaultBudget is how many bytes one step of background compaction copies, unless it is told otherwise.
const DefaultBudget = 64 << 10

func (o CompactorOptions) withDefaults() CompactorOptions {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MinWastePercent, 6)
	set(&o.Budget, DefaultBudget)
	set(&o.Rest, 4)
	if o.Delay == 0 {
		o.Delay = 100 * time.Millisecond
	}
	if o.Idle == 0 {
		o.Idle = 2 * time.Second
	}
	return o
}

// compactor is the background goroutine. It sleeps until frees wake it, so an idle pool costs nothing.
type compactor struct {
	p       *Pool
	wakeups chan struct{}
	urgent  atomic.Bool // compact whatever it is worth
	running atomic.Bool
	driver  atomic.Pointer[func()] // who does all this instead

	mu   sync.Mutex // guards stop and done
	stop chan struct{}
	done chan struct{}
}

func (k *compactor) init(p *Pool) {
	k.p = p
	k.wakeups = make(chan struct{}, 1)
}

// wakeEvery is how many frees make it worth a look at the pool.
const wakeEvery = 1024

// wake makes the goroutine look at the pool and reports whether there is one.
func (k *compactor) wake() bool {
	if wake := k.driver.Load(); wake != nil {
		(*wake)()
		return true
	}
	if !k.running.Load() {
		return false
	}
	select {
	case k.wakeups <- struct{}{}:
	default:
	}
	return true
}

// Urge makes the goroutine compact as much as it can, worth it or not: somebody has no memory.
func (p *Pool) Urge() {
	p.compactor.urgent.Store(true)
	p.compactor.wake()
}

// Drive is for somebody who compacts, and releases ready frames, by a policy of their own, in the place of StartCompactor.
// wake, which must not block, is called when it is worth a look; nil ends it.
func (p *Pool) Drive(wake func()) {
	if wake == nil {
		p.compactor.driver.Store(nil)
		return
	}
	p.compactor.driver.Store(&wake)
}

// Urged reports whether somebody has called Urge since Calm was called.
func (p *Pool) Urged() bool { return p.compactor.urgent.Load() }

// Calm says that all was done that could be.
func (p *Pool) Calm() { p.compactor.urgent.Store(false) }

// Ready returns how many frames are ready for use again, how many are sensible, and how many were asked for so far.
func (p *Pool) Ready() (frames, most int64, taken uint64) {
	return p.readyFrames.Load(), p.readyLimit(), p.framesTaken()
}

// ReleaseReady gives ready frames back to the system until at most keep are left, beside the reserve.
func (p *Pool) ReleaseReady(keep int64) { p.releaseReady(keep) }

// InUse returns the bytes of the budget that are taken, without the ready frames: what is there to be had again.
func (p *Pool) InUse() int64 { return p.a.Budget().Used() - p.readyFrames.Load()*frameSize }

// StartCompactor starts the background goroutine; it is an error of the caller to start it twice.
func (p *Pool) StartCompactor(o CompactorOptions) {
	k := &p.compactor
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil {
		panic("zsmalloc: compactor started twice")
	}
	k.stop, k.done = make(chan struct{}), make(chan struct{})
	k.running.Store(true)
	go k.run(o.withDefaults(), k.stop, k.done)
}

// StopCompactor stops the background goroutine, if there is one, and waits for its step to end.
func (p *Pool) StopCompactor() {
	k := &p.compactor
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop == nil {
		return
	}
	k.running.Store(false)
	close(k.stop)
	<-k.done
	k.stop, k.done = nil, nil
}

func (k *compactor) run(o CompactorOptions, stop, done chan struct{}) {
	defer close(done)
	rest := time.NewTimer(0)
	sleep := func(d time.Duration) bool {
		rest.Reset(d)
		select {
		case <-stop:
			return false
		case <-rest.C:
			return true
		}
	}
	idle := time.NewTimer(o.Idle)
	defer idle.Stop()
	for taken := uint64(0); ; {
		select {
		case <-stop:
			return
		case <-idle.C:
			now := k.p.framesTaken()
			if taken == now {
				k.p.Trim()
			} else {
				taken = now
				idle.Reset(o.Idle)
			}
			continue
		case <-k.wakeups:
		}
		if !k.urgent.Load() && !sleep(o.Delay) {
			return
		}
		for more := k.p.worthCompacting(o.MinWastePercent) || k.urgent.Load(); more; {
			begin := time.Now()
			k.p.releaseReady(k.p.readyLimit())
			if _, more = k.p.Compact(o.Budget); more {
				more = k.urgent.Load() || k.p.worthCompacting(o.MinWastePercent/2)
			}
			if !sleep(time.Duration(o.Rest) * time.Since(begin)) {
				return
			}
		}
		k.p.releaseReady(k.p.readyLimit() / 2)
		idle.Reset(o.Idle)
		if k.urgent.Swap(false) && !sleep(o.Delay) { // all was done that could be: not again at once
			return
		}
	}
}

// framesTaken counts what Malloc took of ready frames.
func (p *Pool) framesTaken() (n uint64) {
	for l := range p.lanes {
		n += p.lanes[l].taken.Load()
	}
	return n
}

// worthCompacting reports whether at least percent of the frames in use could be freed, and not just a few.
func (p *Pool) worthCompacting(percent int) bool {
	freeable := p.FreeableFrames()
	return freeable >= 16 && int64(freeable)*100 >= int64(percent)*p.a.Budget().Used()/frameSize
}
