package zsmalloc

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/bell"
)

// ErrReserve is an ErrNoSpace: the reserve is empty. A moment later there may be more.
var ErrReserve = fmt.Errorf("%w: the reserve is empty", ErrNoSpace)

// ReserveOptions say how much memory is kept ready for Malloc, which then asks the system for none.
type ReserveOptions struct {
	Frames int64 // in runs that are ready, all lanes together
	// Thread, if any, is called once on the thread that refills, which is the only one that waits for memory.
	Thread func()
}

// refillPause is how long the thread rests after the system had no memory at all.
const refillPause = 10 * time.Millisecond

// reserve keeps runs of every lane ready, with their frames faulted in, so that no store ever waits for memory: swap-out is
// how memory becomes free, so to wait for free memory there is a deadlock. Who finds no run ready is refused at once.
//
// One thread of its own refills. It may wait in the kernel as long as it likes, for it holds no lock there and nobody
// waits for it; it is woken through an eventfd because a Go channel may start a thread to wake another.
type reserve struct {
	p       *Pool
	frames  int64
	thread  func()
	on      atomic.Bool
	limited atomic.Bool   // the last refill ended at the budget's limit, and no run was given back since
	made    atomic.Uint64 // counts what was made ready
	stuck   atomic.Bool   // somebody waited in vain, and nothing was made ready since
	stop    atomic.Bool
	bell    *bell.Bell
	done    chan struct{}
}

// StartReserve fills the reserve as far as it can, and from then on Malloc takes runs from it only. If recovery has kept
// what was in reserve, that has to do until the thread has found more. It must not be called twice, nor concurrently with
// Malloc.
func (p *Pool) StartReserve(o ReserveOptions) error {
	r := &p.reserve
	event, err := bell.New()
	if err != nil {
		return fmt.Errorf("zsmalloc: reserve: %w", err)
	}
	*r = reserve{p: p, frames: o.Frames, thread: o.Thread, bell: event, done: make(chan struct{})}
	if p.readyFrames.Load() == 0 {
		r.limited.Store(errors.Is(r.fill(), arena.ErrLimit))
	}
	r.on.Store(true)
	p.handles.reserved.Store(true)
	go r.run()
	return nil
}

// StopReserve ends the thread, if there is one: from then on Malloc asks the system itself. It must not be called
// concurrently with Malloc.
func (p *Pool) StopReserve() {
	r := &p.reserve
	if !r.on.Load() {
		return
	}
	r.on.Store(false)
	p.handles.reserved.Store(false)
	r.stop.Store(true)
	r.bell.Expect()
	r.bell.Ring()
	<-r.done
	r.frames = 0
	_ = r.bell.Close() // nobody else has it
}

func (r *reserve) run() {
	runtime.LockOSThread()
	defer close(r.done)
	if r.thread != nil {
		r.thread()
	}
	for !r.stop.Load() {
		r.bell.Expect()
		if r.stop.Load() || r.lacks() && !r.limited.Load() {
			r.bell.Forget()
		} else {
			r.bell.Wait()
		}
		if r.stop.Load() {
			return
		}
		err := r.fill()
		if errors.Is(err, arena.ErrLimit) && r.p.releaseReady(0) > 0 { // from lanes that have more than they want
			err = r.fill()
		}
		r.limited.Store(errors.Is(err, arena.ErrLimit))
		r.forget()
		if err != nil && !r.limited.Load() {
			time.Sleep(refillPause)
		}
	}
}

// look wakes the thread if lane l has few runs left.
func (r *reserve) look(l uint8) {
	if r.low(l) || r.lacksHandles() {
		r.bell.Ring()
	}
}

// Waiting for the reserve: long enough for the kernel to see that writing takes its time, and not to scan the same pages
// again at once; short enough that what it can do without us goes on. Turns are counted, not time: on a machine that is slow, so is the
// reserve's thread. Together they take 10 to 60 ms.
const (
	awaitTurn  = 200 * time.Microsecond
	awaitTurns = 50
)

// await waits a little and reports whether something has changed: there are more runs, or there will be none. The caller holds no lock.
func (r *reserve) await() bool {
	before := r.made.Load()
	for turn := 0; turn < awaitTurns && !r.stuck.Load(); turn++ {
		time.Sleep(awaitTurn)
		if r.made.Load() != before || r.limited.Load() {
			return true
		}
	}
	r.stuck.Store(true)
	return false
}

// empty returns why there is no run.
func (r *reserve) empty() error {
	if r.limited.Load() {
		return arena.ErrLimit
	}
	return ErrReserve
}

// want returns how many frames lane l should have ready: what it had to give of late, of all that was given.
func (r *reserve) want(l uint8) int64 {
	var all uint64
	for i := range r.p.lanes {
		all += r.p.lanes[i].taken.Load() + 64
	}
	return max(int64(uint64(r.frames)*(r.p.lanes[l].taken.Load()+64)/all), 2<<l)
}

// forget halves what is remembered of who took how much.
func (r *reserve) forget() {
	for l := range r.p.lanes {
		r.p.lanes[l].taken.Store(r.p.lanes[l].taken.Load() / 2)
	}
}

// low reports whether lane l has too few frames ready.
func (r *reserve) low(l uint8) bool { return r.p.lanes[l].readyFrames.Load() < r.want(l)*3/4 }

// lacksHandles reports whether few words of handles are ready.
func (r *reserve) lacksHandles() bool {
	t := &r.p.handles
	ahead := t.ahead.Load()
	return ahead <= t.max && t.fresh.Load()+handlesAhead/2 > ahead
}

func (r *reserve) lacks() bool {
	if r.lacksHandles() {
		return true
	}
	for l := range uint8(lanes) {
		if r.low(l) {
			return true
		}
	}
	return false
}

// Scarce reports whether of a reserve little is left, or it may not be filled: then it is for those who must allocate.
func (p *Pool) Scarce() bool {
	r := &p.reserve
	return r.on.Load() && (r.limited.Load() || r.lacks())
}

// fill makes runs ready until no lane lacks any, those that lack most first.
func (r *reserve) fill() error {
	for !r.stop.Load() {
		if err := r.aheadOfHandles(); err != nil { // each time: this may go on for long
			return err
		}
		lane, lack := uint8(0), int64(0)
		for l := range uint8(lanes) {
			if n := r.want(l) - r.p.lanes[l].readyFrames.Load(); n > lack {
				lane, lack = l, n
			}
		}
		if lack == 0 {
			break
		}
		if err := r.p.makeReady(lane); err != nil {
			return err
		}
		r.progress()
	}
	return nil
}

// progress tells those who wait.
func (r *reserve) progress() {
	r.made.Add(1)
	r.stuck.Store(false)
}

// handlesAhead is for how many new handles there are words, beside those of freed handles.
const handlesAhead = 8192

// aheadOfHandles commits the words of the handles that will be handed out next.
func (r *reserve) aheadOfHandles() error {
	const perFrame = frameSize / 8
	t := &r.p.handles
	next := max(t.ahead.Load(), (t.fresh.Load()+perFrame-1)/perFrame*perFrame) // the frame of fresh-1 is there
	for ; next <= t.max && next < t.fresh.Load()+handlesAhead; next += perFrame {
		if err := t.a.Commit(t.base+int64(next)*8, frameSize); err != nil {
			return err
		}
		t.ahead.Store(next + perFrame)
		r.progress()
	}
	return nil
}

// makeReady commits all frames of one more run of the lane. Only the reserve's thread calls it: no lock is held while the
// system looks for memory.
func (p *Pool) makeReady(l uint8) error {
	ln := &p.lanes[l]
	ln.mu.Lock()
	list := &ln.mu.short
	if *list == 0 {
		list = &ln.mu.holes
	}
	run := *list
	if run != 0 {
		*list = p.zspageAt(l, run).next
	}
	ln.mu.Unlock()
	if run == 0 {
		if run = ln.fresh.Load(); run == ln.runs {
			return ErrNoSpace
		}
		if err := p.commitDescriptors(l, run); err != nil {
			return err
		}
		ln.fresh.Store(run + 1)
	}
	z := p.zspageAt(l, run)
	have := int64(z.committed.Load())
	err := p.a.Commit(p.frames(l, run)+have*frameSize, (1<<l-have)*frameSize)
	if err == nil {
		z.committed.Store(1 << l)
		p.readyFrames.Add(1<<l - have)
	}
	p.push(l, run, z)
	return err
}
