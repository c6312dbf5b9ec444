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

	fresh atomic.Uint32 // the first run that was never used; written under mu

	mu struct {
		sync.Mutex
		ready uint32 // free runs with committed frames, the last freed first
		holes uint32 // free runs without
	}
}

const lanes = 5 // strides of 1, 2, 4, 8 and 16 frames

// takeRun returns a free run of the lane, one with committed frames if there is one. Of those, the ones beyond
// frames are released.
func (p *Pool) takeRun(l uint8, frames int) (uint32, *zspage, error) {
	ln := &p.lanes[l]
	ln.mu.Lock()
	run := ln.mu.ready
	switch {
	case run != 0:
		z := p.zspageAt(l, run)
		ln.mu.ready = z.next
		ln.mu.Unlock()
		have := int64(z.committed.Load())
		p.readyFrames.Add(-have)
		if n := have - int64(frames); n > 0 {
			if err := p.a.Release(p.frames(l, run)+int64(frames)*frameSize, n*frameSize); err == nil {
				z.committed.Store(uint32(frames))
			}
		}
		return run, z, nil
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
// of a lane in order. Preconditions: the lane's mu is held, or nobody else has the pool.
func (p *Pool) commitDescriptors(l uint8, run uint32) error {
	first := run == 1 // run 0 is never used, so run 1 opens the first frame of each table
	if off := p.lanes[l].descriptors + int64(run)*zspageSize; first || off%frameSize == 0 {
		if err := p.private.Commit(off/frameSize*frameSize, frameSize); err != nil {
			return err
		}
	}
	if off := p.hugeHeaders + int64(run)*headerSize; l == 0 && (first || off%frameSize == 0) {
		if err := p.a.Commit(off/frameSize*frameSize, frameSize); err != nil {
			if d := p.lanes[l].descriptors + int64(run)*zspageSize; first || d%frameSize == 0 {
				_ = p.private.Release(d/frameSize*frameSize, frameSize)
			}
			return err
		}
	}
	return nil
}

// giveRun takes back a run that holds no object. Its frames stay ready for the next zspage, until trimReady.
func (p *Pool) giveRun(l uint8, run uint32, z *zspage) {
	z.used = false
	p.readyFrames.Add(int64(z.committed.Load()))
	p.push(l, run, z)
}

// trimReady releases ready frames if there are too many: the compaction goroutine does if there is one and it keeps up,
// else the caller, who holds no lock.
func (p *Pool) trimReady() {
	limit := p.readyLimit()
	if ready := p.readyFrames.Load(); ready > limit && (ready > 4*limit || !p.compactor.wake()) {
		p.releaseReady(limit / 2)
	}
}

func (p *Pool) push(l uint8, run uint32, z *zspage) {
	ln := &p.lanes[l]
	ln.mu.Lock()
	list := &ln.mu.holes
	if z.committed.Load() > 0 {
		list = &ln.mu.ready
	}
	z.next, *list = *list, run
	ln.mu.Unlock()
}

// readyLimit returns how many ready frames are kept: 1/64 of the memory in use, within bounds.
func (p *Pool) readyLimit() int64 {
	return min(max(p.a.Budget().Used()/frameSize/64, 64), 4096)
}

// releaseReady releases ready frames until at most keep are left, the longest runs first, and returns how many.
func (p *Pool) releaseReady(keep int64) (released int64) {
	for l := uint8(lanes); l > 0 && p.readyFrames.Load() > keep; {
		ln := &p.lanes[l-1]
		ln.mu.Lock()
		run := ln.mu.ready
		if run == 0 {
			ln.mu.Unlock()
			l--
			continue
		}
		z := p.zspageAt(l-1, run)
		ln.mu.ready = z.next
		ln.mu.Unlock()
		n := int64(z.committed.Load())
		err := p.a.Release(p.frames(l-1, run), n*frameSize)
		if err == nil {
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
