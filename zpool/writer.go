package zpool

import (
	"errors"
	"time"

	"github.com/zswapd/zswapd/internal/backing"
)

// loop is the goroutine that writes back. It is not that of the other tiers, for it waits for the disk.
type loop struct {
	stop, done chan struct{}
	wakeups    chan struct{}

	// The goroutine's own.
	flowing, uncleanable bool
	short                int
	looked               uint64        // slots, since a step found enough or all were looked at
	found                uint64        // pages in those
	vain                 int           // looks at all slots in a row, whatever the age of a page, that found none
	againAt              time.Duration // when the next one is worth while
	emptyAt              uint64        // generation in which a look at all slots found too little
	rawsAt               uint64        // generation in which idle pages that do not compress were last looked for
	lookAt               time.Duration // when cleaning may be tried again
	fruitless            time.Duration // that looking for an extent that is worth emptying took, since one was found
	sweepAt              time.Duration
}

// The writer rests so long after what it cannot help.
const (
	restLimit = time.Second            // as much was written as may be
	restError = 100 * time.Millisecond // the disk has failed; the file waits longer by itself
	cleanRest = time.Second
	sweepRest = 5 * time.Second
	sweepMost = 64 // extents
)

func (b *writeback) start() {
	l := &b.loop
	l.stop, l.done = make(chan struct{}), make(chan struct{})
	go b.run(l.stop, l.done)
	go b.keepDay(l.stop)
}

// keepDay saves what was written today, now and then. It has a goroutine to itself: the file is in the page cache, so it may wait for
// memory, which the writer is to make.
func (b *writeback) keepDay(stop chan struct{}) {
	tick := time.NewTicker(backing.SaveEvery / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if f := b.file.Load(); f != nil {
				f.SaveDay()
			}
		}
	}
}

// halt stops the goroutine, if there is one, and waits for its step to end.
func (b *writeback) halt() {
	if b.loop.stop != nil {
		close(b.loop.stop)
		<-b.loop.done
		b.loop.stop = nil
	}
}

// wake makes the goroutine look at the pool. It never blocks.
func (b *writeback) wake() {
	select {
	case b.loop.wakeups <- struct{}{}:
	default:
	}
}

func (b *writeback) run(stop, done chan struct{}) {
	defer close(done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		rest, wakes := restFar, true
		if f := b.file.Load(); f != nil {
			rest, wakes = b.turn(f)
		}
		timer.Reset(rest)
		wakeups := b.loop.wakeups
		if !wakes {
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
func (b *writeback) turn(f *backing.File) (rest time.Duration, wakes bool) {
	v := b.look(f)
	d := decideOutflow(&v)
	begin := b.p.tiers.now()
	switch err := b.do(f, &v, d); {
	case errors.Is(err, backing.ErrLimit):
		return restLimit, false
	case err != nil:
		return restError, false
	case d.act == outRest:
		return d.rest, true
	}
	took := b.p.tiers.now() - begin
	return took * time.Duration(100-d.share) / time.Duration(d.share), false
}

// do does what the policy says.
func (b *writeback) do(f *backing.File, v *outflow, d outPlan) (err error) {
	l, now := &b.loop, b.p.tiers.now()
	flow := false
	defer func() { b.flow.Store(flow && err == nil) }()
	switch d.act {
	case outWrite:
		var did Written
		l.flowing = d.share == 100
		b.hotAge.Store(uint32(min(d.idle, v.idle)))
		if d.idle == never {
			l.rawsAt = b.p.clock.at.Load()
		}
		if did, _, err = b.p.WriteBack(d.idle, d.raw, d.bytes); err != nil {
			return err
		}
		l.looked, l.found = l.looked+min(b.p.super.slots, scanMost), l.found+did.Pages
		switch {
		case did.Bytes >= d.bytes/2:
			l.short, l.looked, l.found, l.vain = 0, 0, 0, 0
		case l.looked >= b.p.super.slots: // or what is coldest may be where no step has looked yet
			if d.idle == 1 {
				l.rest(l.found > 0, now)
			}
			l.short, l.looked, l.found, l.emptyAt = l.short+1, 0, 0, b.p.clock.at.Load()
		}
		if flow = did.Pages > 0 && d.share == 100; flow {
			b.p.tiers.wake() // there may be something to compact
		}
	case outClean:
		did, more, e := b.p.CleanBacking()
		if l.fruitless += b.p.tiers.now() - now; did.Extents > 0 {
			l.fruitless = 0
		}
		if err = e; err != nil || !more {
			l.uncleanable, l.lookAt = true, now+max(cleanRest, sweepShare*l.fruitless)
			l.fruitless = 0
			if errors.Is(err, backing.ErrLimit) { // what is too little for an extent is for the writer
				l.lookAt += restLimit
			}
		}
	case outSweep:
		l.sweepAt = now + sweepRest
		_, err = f.Sweep(sweepMost)
	case outTick:
		b.p.Tick()
		l.short = 0
	case outRest:
		l.flowing, l.short = false, 0
	}
	return err
}

// rest is called after a look at all slots, and finds out when the next one is worth while: at once, if it found something, or if
// there may be pages that were touched in the generation that is to end now. Else there is nothing that can be written, and it
// takes longer and longer.
func (l *loop) rest(found bool, now time.Duration) {
	if found {
		l.vain = 0
		return
	}
	l.vain++
	if l.vain > 1 {
		l.againAt = now + min(restNear<<min(l.vain-2, 10), restFar)
	}
}

// look looks at the pool.
func (b *writeback) look(f *backing.File) (v outflow) {
	p, l, now := b.p, &b.loop, b.p.tiers.now()
	if now >= l.lookAt {
		l.uncleanable = false
	}
	s, free, used, limit := p.settings.Load(), f.FreeBytes(), p.zs.InUse(), p.limit.Load()
	v = outflow{
		used: used, limit: limit, refused: p.full.Load() && used > limit/100*int64(s.AcceptThresholdPercent), flowing: l.flowing, short: l.short,
		scarce: free < max(4*backing.ExtentBytes, f.Bytes()/16), uncleanable: l.uncleanable, spare: now >= l.sweepAt,
		idle: p.clock.idle(now, s.IdleAfter), tickable: now-p.clock.since() >= shortestTick,
		raws: p.clock.at.Load() != l.rawsAt, vain: l.vain > 1 && now < l.againAt,
	}
	if s.WritebackAfter > 0 {
		v.after = p.clock.idle(now, s.WritebackAfter)
	}
	v.ages, v.pressure = p.tiers.agesNow()
	if p.clock.at.Load() == l.emptyAt { // it can wait for the next generation
		v.after, v.pressure = 0, 0
	}
	pages := uint64(0)
	for _, n := range v.ages {
		pages += n
	}
	v.object = v.used / int64(max(pages, 1))
	return v
}

// WriteBackColdest is WriteBack for whoever asks for memory: the coldest pages, about so many bytes of them, whatever the settings
// call idle; but none that was touched in this generation.
func (p *Pool) WriteBackColdest(bytes int64) (did Written, more bool, err error) {
	v := outflow{}
	v.ages, _ = p.tiers.agesNow()
	pages := uint64(0)
	for _, n := range v.ages {
		pages += n
	}
	v.object = p.zs.InUse() / int64(max(pages, 1))
	idle := v.coldest(bytes)
	did, more, err = p.writeBackSomewhere(idle, bytes)
	if did.Pages == 0 && err == nil && idle > 1 { // they were counted some time ago
		did, more, err = p.writeBackSomewhere(1, bytes)
	}
	return did, more, err
}

// writeBackSomewhere takes steps until one has written something, or all slots were looked at.
func (p *Pool) writeBackSomewhere(idle uint8, bytes int64) (did Written, more bool, err error) {
	for range 1 + (p.super.slots-1)/scanMost {
		if did, more, err = p.WriteBack(idle, idle, bytes); did.Pages > 0 || !more || err != nil {
			return did, more, err
		}
	}
	return did, false, nil
}

// agesNow returns how many pages in memory had which age when they were last counted, in generations from now, and how short
// of memory the system is.
func (t *tiers) agesNow() (now Ages, pressure float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed := t.p.clock.at.Load() - t.sweep.ended
	for age, n := range t.sweep.before {
		now[min(uint64(age)+passed, veryOld)] += n
	}
	if t.background.Pressure != nil {
		pressure = t.background.Pressure()
	}
	return now, pressure
}
