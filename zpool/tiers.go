package zpool

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/cputime"
	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Background turns on what a pool does by itself: it ages pages, packs idle ones, and compacts.
type Background struct {
	// Pressure says how short of memory the system is: the percentage of the time, of late, that somebody waited for it. It
	// is called a few times a second at most. nil: nobody knows.
	Pressure func() float64
	// Warn is called when the pool has used so many percent of its limit in bytes, 80 or 95, or refuses a page before: once each until
	// it has used less again. It may be called before New or Open returns. It is called on a goroutine of its own, and nobody waits for it. nil: nobody wants to know.
	Warn func(percent int, limit int64)
	// Thread, if any, is called once on the thread that does the work, which is then its own.
	Thread func()
}

// tiers are where pages go when nobody uses them. One goroutine does, by turns, what the policy says; steps can be taken by
// hand as well.
type tiers struct {
	p *Pool

	mu         sync.Mutex // held for a step: the clock, the packer and the sweep stand still for anybody else
	packer     *packer    // nil until it is needed; guarded by mu, as all of these are
	making     *making    // its first codec, if that is under way
	sweep      sweep
	sweepTime  time.Duration // that the last sweep took, packing apart
	sweeping   time.Duration // that this one took so far
	failing    bool          // the last step that had pages to pack had no memory for one
	compacting bool
	stuck      int64         // freeable frames that compaction could not free
	kept       int64         // ready frames that trimming has left: the reserve's
	taken      uint64        // ready frames, when looked at last
	asked      time.Duration // when somebody had last asked for one
	background Background
	stop, done chan struct{}

	told struct {
		sync.Mutex
		did   Recompressed
		spent time.Duration // CPU time of recompression
	}
	headroom atomic.Int64  // bytes below the limit that are left for packing; 0: nobody packs
	hotAge   atomic.Uint32 // a cold page that was used so many generations ago is hot when it is used again; 0: never
	alarm    alarm
	steps    [actTrim + 1]atomic.Uint64
	packTime histogram.Histogram // CPU time of a page
	wakeups  chan struct{}
}

// init makes the tiers of a pool that is otherwise complete.
func (t *tiers) init(p *Pool, s Settings) {
	t.p, t.sweep.p, t.sweep.clusters = p, p, true
	t.wakeups = make(chan struct{}, 1)
	p.clock.init(p.a.Word(clockAt), t.now(), s.generationLength())
	t.sweep.ended = p.clock.now.Load()
	p.settings.Store(&s)
}

func (t *tiers) now() time.Duration { return time.Since(epoch) }

// useLocked puts settings in force. Preconditions: mu is held.
func (t *tiers) useLocked(s Settings) (err error) {
	old := t.p.settings.Swap(&s)
	if t.packer == nil || old.RecompressCodec == s.RecompressCodec && old.ClusterSize == s.ClusterSize {
		return nil
	}
	if err = t.makePackerLocked(); err != nil {
		t.p.settings.Store(old)
		return err
	}
	t.sweep.retry = 2                           // what one codec gains nothing on, another may
	t.sweep.clusters, t.sweep.seen = true, true // the last one may have left some, behind the sweep
	return nil
}

// makePackerLocked makes the packer that the settings ask for, whose codec is megabytes. Preconditions: mu is held.
func (t *tiers) makePackerLocked() error {
	s := t.p.settings.Load()
	codec, err := t.making.codec(s.RecompressCodec)
	pages, off := s.ClusterSize/PageSize, err == nil && codec.ID() == compressor.Raw
	if off {
		pages = 1
		codec, err = compressor.New(t.p.codec)
	}
	if err != nil {
		return err
	}
	if t.making = nil; t.packer == nil {
		t.packer = newPacker(t.p)
	}
	t.packer.use(codec, pages, off)
	t.sweep.off = off
	return nil
}

// Tick begins a generation: pages that are stored or loaded from now on are younger than all others.
func (p *Pool) Tick() {
	t := &p.tiers
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tickLocked()
}

func (t *tiers) tickLocked() {
	for t.sweep.lag() >= 256-veryOld-1 { // or some that are very old would look young
		t.sweep.run(math.MaxInt64, 0, nil)
	}
	t.p.clock.tick(t.now())
	t.steps[actTick].Add(1)
}

// Recompress is one step of recompression: it packs pages that have been idle for so long, about budget of them, going on in
// the slot table where the last step ended. more is false when it has come to the table's end. Pages that were touched in
// this generation are never idle, see Tick.
func (p *Pool) Recompress(idle time.Duration, budget int) (did Recompressed, more bool, err error) {
	t := &p.tiers
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.packer == nil {
		if err := t.makePackerLocked(); err != nil {
			return did, false, fmt.Errorf("zpool: recompression: %w", err)
		}
	}
	did, end := t.sweepLocked(math.MaxInt64, p.clock.idle(t.now(), idle), budget)
	return did, !end, nil
}

// sweepLocked looks at slots and packs about pages of what is idle there. Preconditions: mu is held, and there is a packer.
func (t *tiers) sweepLocked(slots uint64, idle uint8, pages int) (did Recompressed, end bool) {
	t.steps[actSweep].Add(1)
	k := t.packer
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin, packing := cputime.Thread(), time.Duration(0)
	pack := func(window uint64) bool {
		from := cputime.Thread()
		k.did = Recompressed{}
		k.look(window, idle, t.sweep.skip())
		k.pack()
		did.add(k.did)
		took := cputime.Thread() - from
		packing += took
		t.packTime.ObserveN(took/time.Duration(max(len(k.list), 1)), uint64(len(k.list)))
		return did.seen() < uint64(pages)
	}
	end = t.sweep.run(slots, idle, pack)
	t.sweeping += cputime.Thread() - begin - packing
	if end {
		t.sweepTime, t.sweeping = t.sweeping, 0
	}
	t.tell(did, packing)
	return did, end
}

// tell adds to what Stats shows.
func (t *tiers) tell(did Recompressed, spent time.Duration) {
	t.told.Lock()
	defer t.told.Unlock()
	t.told.did.add(did)
	t.told.spent += spent
}

// hot reports whether a cold page, which is being loaded, was used of late as well: then it is not cold any more.
func (p *Pool) hot(w word) bool {
	return uint32(p.clock.age(w)) < p.tiers.hotAge.Load()
}

// start starts the goroutine.
func (t *tiers) start(b Background) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.makePackerLocked(); err != nil {
		return err
	}
	t.background = b
	t.stop, t.done = make(chan struct{}), make(chan struct{})
	t.leaveHeadroomLocked()
	t.p.limitMemory(t.p.zs.InUse() > t.p.limit.Load())
	t.alarm.start(b.Warn)
	t.p.zs.Drive(t.wake)
	go t.run(t.stop, t.done)
	return nil
}

// halt stops the goroutine, if there is one, and waits for its step to end.
func (t *tiers) halt() {
	t.mu.Lock()
	stop, done := t.stop, t.done
	t.stop = nil
	t.mu.Unlock()
	if stop == nil {
		return
	}
	t.p.zs.Drive(nil)
	close(stop)
	<-done
	t.alarm.halt()
	t.hotAge.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.headroom.Store(0)
	t.p.limitMemory(false)
}

// wake makes the goroutine look at the pool. It never blocks.
func (t *tiers) wake() {
	select {
	case t.wakeups <- struct{}{}:
	default:
	}
}

func (t *tiers) run(stop, done chan struct{}) {
	defer close(done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if t.background.Thread != nil {
		t.background.Thread()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		rest, urgent := t.turn()
		timer.Reset(rest)
		wakeups := t.wakeups
		if !urgent {
			wakeups = nil // a pause for breath
		}
		select {
		case <-stop:
			return
		case <-timer.C:
		case <-wakeups:
		}
	}
}

// turn does one thing and returns how long to rest after it, and whether a wake-up ends the rest.
func (t *tiers) turn() (rest time.Duration, wakes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pressure := 0.0
	if t.background.Pressure != nil {
		pressure = t.background.Pressure()
	}
	t.p.limitMemory(false)
	v, s := t.viewLocked(pressure), t.p.settings.Load()
	t.alarm.look(v.used, v.limit) // packing takes memory, too, and the limit may be another one
	t.alarm.lower(v.used, v.limit)
	d := decide(&v, s)
	begin := t.now()
	t.doLocked(&v, d)
	if d.act == actRest {
		return min(d.rest, lookEvery), true
	}
	if d.act == actSweep && t.failing { // for want of memory, of which there must be some first
		return lookEvery, false
	}
	took := t.now() - begin
	return took * time.Duration(100-d.share) / time.Duration(d.share), false
}

// lookEvery is the longest that the goroutine is blind: the pressure may have changed, or the pool filled up.
const lookEvery = 250 * time.Millisecond

// compactBudget is how many bytes a step of compaction copies.
const compactBudget = zsmalloc.DefaultBudget

// doLocked does what the policy says.
func (t *tiers) doLocked(v *view, d plan) {
	zs := t.p.zs
	switch d.act {
	case actTick:
		t.tickLocked()
	case actSweep:
		age := t.p.clock.idle(t.now(), d.idle)
		hot := uint32(age)
		if v.effort() != calm {
			hot = 0 // no memory for what is fast
		}
		t.hotAge.Store(hot)
		did, _ := t.sweepLocked(uint64(d.budget), age, packPages)
		t.failing = did.Failed > 0 && did.Pages == 0
	case actCompact:
		t.steps[actCompact].Add(1)
		_, more := zs.Compact(d.budget)
		if t.compacting = more; !more {
			zs.Calm()
			t.stuck = int64(zs.FreeableFrames())
		}
		zs.ReleaseReady(v.readyMost)
	case actTrim:
		t.steps[actTrim].Add(1)
		zs.ReleaseReady(int64(d.budget))
		if t.kept, _, _ = zs.Ready(); t.kept <= int64(d.budget) {
			t.kept = 0
		}
	}
}

// packPages is how many pages are packed in a step, about: some milliseconds.
const packPages = 128

// viewLocked looks at the pool.
func (t *tiers) viewLocked(pressure float64) (v view) {
	p, now := t.p, t.now()
	ready, most, taken := p.zs.Ready()
	if taken != t.taken {
		t.taken, t.asked = taken, now
	}
	if ready <= t.kept { // or it would be trimmed again and again, without a rest
		ready = 0
	}
	v = view{
		used: p.zs.InUse(), limit: p.limit.Load(), full: p.Full(), urged: p.zs.Urged(), pressure: pressure,
		swept: t.sweep.next == 0 && t.sweep.lag() == 0, sweepTime: t.sweepTime, generation: now - p.clock.since(),
		freeable: int64(p.zs.FreeableFrames()), compacting: t.compacting,
		ready: ready, readyMost: most, readyUnasked: now - t.asked, aging: t.packer.on() || t.sweep.clusters || p.writeback.file.Load() != nil,
	}
	if v.freeable <= t.stuck { // what compaction has left is pinned, or not to be had
		v.freeable = 0
	} else {
		t.stuck = 0
	}
	return v
}

// leaveHeadroomLocked sees to it that there is memory to pack pages with when stores have taken all else.
func (t *tiers) leaveHeadroomLocked() {
	room := int64(0)
	if t.stop != nil && t.packer.on() {
		room = min(max(t.p.limit.Load()/64, 4*PageSize), 64*PageSize)
	}
	t.headroom.Store(room)
}
