package zsmalloc

import (
	"sync"
	"sync/atomic"
)

// lane hands out runs of up to 1<<stride frames. Its address space is fixed; a run that was used once stays a
// run of this lane.
type lane struct {
	base        int64  // of run 0 in the arena
	descriptors int64  // of run 0 in the private arena
	runs        uint32 // runs 1..runs-1 exist; run 0 is nobody

	fresh     atomic.Uint32 // the first run that was never used; written under mu
	described uint32        // runs below have descriptors, used or not; written under mu

	mu struct {
		sync.Mutex
		ready uint32 // free runs with committed frames, the last freed first
		short uint32 // with a reserve: those of them whose frames are not all committed
		holes uint32 // free runs without
	}

	taken       atomic.Uint64 // frames that were taken from ready, of late; see reserve.want
	readyFrames atomic.Int64  // in the ready list
}

const lanes = 5 // strides of 1, 2, 4, 8 and 16 frames

// takeRun returns a free run of the lane, one with committed frames if there is one. Of those, the ones beyond
// frames are released, if the system takes them. With a reserve, it is a run with at least that many, or none.
func (p *Pool) takeRun(l uint8, frames int) (uint32, *zspage, error) {
	ln := &p.lanes[l]
	reserved := p.reserve.on.Load()
	if reserved {
		defer p.reserve.look(l)
	}
	ln.mu.Lock()
	list := &ln.mu.ready
	if short := ln.mu.short; short != 0 && (!reserved || int(p.zspageAt(l, short).committed.Load()) >= frames) {
		list = &ln.mu.short
	}
	run := *list
	switch {
	case run != 0:
		z := p.zspageAt(l, run)
		*list = z.next
		have := int64(z.committed.Load())
		if list == &ln.mu.ready {
			ln.readyFrames.Add(-have)
		}
		ln.mu.Unlock()
		ln.taken.Add(uint64(frames))
		p.readyFrames.Add(-have)
		if n := have - int64(frames); n > 0 {
			if err := p.a.Release(p.frames(l, run)+int64(frames)*frameSize, n*frameSize); err == nil {
				step("lane: surplus released")
				z.committed.Store(uint32(frames))
			}
		}
		return run, z, nil
	case reserved:
		ln.mu.Unlock()
		return 0, nil, p.reserve.empty()
	case ln.mu.holes != 0:
		run = ln.mu.holes
		z := p.zspageAt(l, run)
		ln.mu.holes = z.next
		ln.mu.Unlock()
		return run, z, nil
	}
	defer ln.mu.Unlock()
	run = ln.fresh.Load()
	if run == ln.runs {
		return 0, nil, ErrNoSpace
	}
	if err := p.commitDescriptors(l, run); err != nil {
		return 0, nil, err
	}
	ln.fresh.Store(run + 1)
	return run, p.zspageAt(l, run), nil
}

// commitDescriptors commits the frames of the tables that run is the first to need. It is called for each run
// of a lane in order. Preconditions: the lane's mu is held, or nobody else makes runs.
func (p *Pool) commitDescriptors(l uint8, run uint32) error {
	if err := p.describe(l, run); err != nil {
		return err
	}
	if off := p.hugeHeaders + int64(run)*headerSize; l == 0 && (run == 1 || off%frameSize == 0) { // run 0 is never used
		if err := p.a.Commit(off/frameSize*frameSize, frameSize); err != nil {
			return err
		}
		step("lane: huge headers grown")
	}
	return nil
}

// describe commits descriptors for all runs of the lane up to run. Preconditions: as of commitDescriptors.
func (p *Pool) describe(l uint8, run uint32) error {
	const perFrame = frameSize / zspageSize
	ln := &p.lanes[l]
	for ln.described <= run {
		if err := p.private.Commit(ln.descriptors+int64(ln.described)*zspageSize, frameSize); err != nil {
			return err
		}
		ln.described += perFrame
	}
	return nil
}

// giveRun takes back a run that holds no object. Its frames stay ready for the next zspage, until trimReady.
func (p *Pool) giveRun(l uint8, run uint32, z *zspage) {
	z.used = false
	if p.reserve.limited.Load() {
		p.reserve.limited.Store(false)
	}
	p.readyFrames.Add(int64(z.committed.Load()))
	p.push(l, run, z)
}

// trimReady releases ready frames if there are too many: the compaction goroutine does if there is one and it keeps up,
// else the caller, who holds no lock.
func (p *Pool) trimReady() {
	limit := p.readyLimit()
	if ready := p.readyFrames.Load(); ready > limit && (ready > 4*limit || !p.compactor.wake()) {
		p.releaseReady(max(limit/2, ready-releaseMost))
	}
}

// releaseMost is how many frames are released at once where somebody waits for a page: more than come back with it, and no more than
// some 100 µs are spent on.
const releaseMost = 2 << (lanes - 1)

func (p *Pool) push(l uint8, run uint32, z *zspage) {
	ln := &p.lanes[l]
	ln.mu.Lock()
	list := &ln.mu.holes
	switch n := z.committed.Load(); {
	case p.reserve.frames > 0 && n > 0 && n < 1<<l:
		list = &ln.mu.short
	case n > 0:
		list = &ln.mu.ready
		ln.readyFrames.Add(int64(n))
	}
	z.next, *list = *list, run
	ln.mu.Unlock()
}

// readyLimit returns how many ready frames are kept beside the reserve: 1/64 of the memory in use, within bounds.
func (p *Pool) readyLimit() int64 {
	return min(max(p.a.Budget().Used()/frameSize/64, 64), 4096) + p.reserve.frames
}

// MakeRoom releases some ready frames that are not in reserve, for somebody who has no memory. It reports false when there are none.
func (p *Pool) MakeRoom() bool { return p.releaseReady(max(p.readyFrames.Load()-releaseMost, 0)) > 0 }

// Trim releases all ready frames that are not in reserve, because nobody needs them, and returns how many there
// were.
func (p *Pool) Trim() (frames int64) { return p.releaseReady(0) }

// releaseReady releases ready frames until at most keep are left, the longest runs first, and returns how many. What a
// lane has in reserve stays.
func (p *Pool) releaseReady(keep int64) (released int64) {
	for l := uint8(lanes); l > 0 && p.readyFrames.Load() > keep; {
		run, z := p.takeSpare(l - 1)
		if run == 0 {
			l--
			continue
		}
		n := int64(z.committed.Load())
		err := p.a.Release(p.frames(l-1, run), n*frameSize)
		if err == nil {
			step("lane: ready run released")
			p.readyFrames.Add(-n)
			released += n
			z.committed.Store(0)
		}
		p.push(l-1, run, z)
		if err != nil {
			return released // the system cannot now; the frames stay ready
		}
	}
	return released
}

// takeSpare takes a run with committed frames that can be released, or 0.
func (p *Pool) takeSpare(l uint8) (run uint32, z *zspage) {
	ln := &p.lanes[l]
	ln.mu.Lock()
	defer ln.mu.Unlock()
	list := &ln.mu.short
	if *list == 0 {
		if p.reserve.frames > 0 && ln.readyFrames.Load()-1<<l < p.reserve.want(l) {
			return 0, nil
		}
		list = &ln.mu.ready
	}
	if run = *list; run == 0 {
		return 0, nil
	}
	z = p.zspageAt(l, run)
	*list = z.next
	if list == &ln.mu.ready {
		ln.readyFrames.Add(-int64(z.committed.Load()))
	}
	return run, z
}
