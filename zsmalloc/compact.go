package zsmalloc

import (
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/invariant"
)

// Compaction says what one or more steps of compaction did.
type Compaction struct {
	Objects int // moved
	Bytes   int // copied
	Frames  int // in zspages that became free
	Skipped int // objects that were pinned
}

func (r *Compaction) add(o Compaction) {
	r.Objects += o.Objects
	r.Bytes += o.Bytes
	r.Frames += o.Frames
	r.Skipped += o.Skipped
}

// FreeableFrames returns how many frames compaction could free now.
func (p *Pool) FreeableFrames() (frames int) {
	for _, c := range p.classes {
		c.mu.Lock()
		frames += c.freeableFramesLocked()
		c.mu.Unlock()
	}
	return frames
}

// Compact is one step of compaction. Class by class, going on where the last step ended, it moves objects out of the
// emptiest zspages into the fullest, packs the one that is left over, and releases the frames behind it, until budget
// bytes were copied or it has seen every class. It reports what it did and whether another step could do more. It gives
// a class lock back as soon as somebody waits for it, and needs no new memory. Steps take turns.
func (p *Pool) Compact(budget int) (r Compaction, more bool) {
	p.compactMu.Lock()
	defer p.compactMu.Unlock()
	for range p.classes {
		r.add(p.compactClass(p.classes[p.nextClass], budget-r.Bytes))
		if r.Bytes >= budget {
			return r, true
		}
		p.nextClass = (p.nextClass + 1) % len(p.classes)
	}
	return r, r.Objects > 0
}

// compactClass moves objects of one class under its lock, at most budget bytes and one object.
func (p *Pool) compactClass(c *class, budget int) (r Compaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, began := c.mu.frames, time.Time{}
	for stop := false; !stop && c.freeableFramesLocked() > 0; {
		if began.IsZero() {
			began = time.Now()
		}
		var step Compaction
		dst := p.fullestLocked(c)
		src := p.emptiestLocked(c, dst)
		switch {
		case src == 0 || dst == 0:
			step, stop = p.packLocked(c, src|dst, budget-r.Bytes), true
		case p.zspageAt(c.lane, src).inuse <= p.zspageAt(c.lane, dst).inuse:
			step, stop = p.emptyLocked(c, src, dst, budget-r.Bytes)
		case c.hasRoomLocked(p.zspageAt(c.lane, src)): // of one group, and the other way round
			step, stop = p.emptyLocked(c, dst, src, budget-r.Bytes)
		default: // only the emptiest has room
			step, stop = p.packLocked(c, dst, budget-r.Bytes), true
		}
		r.add(step)
	}
	r.Frames = before - c.mu.frames
	p.objectsMigrated.Add(uint64(r.Objects))
	p.framesCompacted.Add(uint64(r.Frames))
	if !began.IsZero() {
		p.pauses.Observe(time.Since(began))
	}
	return r
}

// Pauses returns how long compaction held the lock of a size class each time that it had something to do there: as long as
// that, users of the class had to wait at most.
func (p *Pool) Pauses() histogram.Snapshot { return p.pauses.Snapshot() }

// fullestLocked returns the run of the fullest zspage that can take an object without new memory: compaction must
// work when there is none. 0 for none. Preconditions for all below: c.mu is held.
func (p *Pool) fullestLocked(c *class) uint32 {
	for g := groupFull - 1; g > 0; g-- {
		for run := c.mu.groups[g]; run != 0; {
			z := p.zspageAt(c.lane, run)
			if c.hasRoomLocked(z) {
				return run
			}
			run = z.next
		}
	}
	return 0
}

// hasRoomLocked reports whether a zspage that is not full can take an object without new memory.
func (c *class) hasRoomLocked(z *zspage) bool {
	return z.free != noObject || (int(z.fresh)+1)*c.size <= int(z.committed.Load())*frameSize
}

// emptiestLocked returns the run of the emptiest zspage other than dst, 0 for none.
func (p *Pool) emptiestLocked(c *class, dst uint32) uint32 {
	for g := 1; g < groupFull; g++ {
		run := c.mu.groups[g]
		if run == dst && run != 0 {
			run = p.zspageAt(c.lane, run).next
		}
		if run != 0 {
			return run
		}
	}
	return 0
}

// emptyLocked moves objects from src, which is not the fuller one, to dst until src is empty or dst has no room; stop says
// that it ended before, because the budget is used up, somebody waits for the lock, or an object is pinned.
func (p *Pool) emptyLocked(c *class, src, dst uint32, budget int) (r Compaction, stop bool) {
	from, to := p.zspageAt(c.lane, src), p.zspageAt(c.lane, dst)
	for i := 0; i < int(from.fresh); i++ {
		if p.header(c, src, i).handle == 0 {
			continue
		}
		last, before := from.inuse == 1, r.Objects
		if stop = p.moveLocked(c, src, i, dst, &r, budget); stop {
			return r, true
		}
		if last && r.Objects > before {
			return r, false // src is gone
		}
		if int(to.inuse) == c.objsPerZspage || !c.hasRoomLocked(to) {
			return r, r.Skipped > 0
		}
	}
	return r, true // what is left in src is pinned
}

// packLocked moves the last objects of a zspage into its first holes and releases the frames at its end.
func (p *Pool) packLocked(c *class, run uint32, budget int) (r Compaction) {
	if run == 0 {
		return r
	}
	z := p.zspageAt(c.lane, run)
	var free objectSet
	if !p.freeLocked(c, run, z, &free) {
		return r // damaged; Check says so
	}
	p.sortFreeLocked(c, run, z, &free)
	for stop := false; !stop; {
		for z.fresh > 0 && free.has(int(z.fresh)-1) {
			z.fresh--
		}
		if z.free >= z.fresh { // noObject is the largest number there is
			break
		}
		first, last := int(z.free), int(z.fresh)-1
		if stop = p.moveLocked(c, run, last, run, &r, budget); z.free == uint16(last) {
			free.clear(first)
			free.set(last)
			z.free = uint16(p.header(c, run, last).tag) // it lies behind the end now
		}
	}
	p.sortFreeLocked(c, run, z, &free)
	step("pack: objects moved")
	have, need := int(z.committed.Load()), (int(z.fresh)*c.size+frameSize-1)/frameSize
	if need < have && p.a.Release(p.frames(c.lane, run)+int64(need)*frameSize, int64(have-need)*frameSize) == nil {
		step("pack: tail released")
		z.committed.Store(uint32(need))
		c.mu.frames -= have - need
	}
	return r
}

// sortFreeLocked makes the free list of a zspage anew, in rising order, so that the next object comes from its front.
func (p *Pool) sortFreeLocked(c *class, run uint32, z *zspage, free *objectSet) {
	z.free = noObject
	for i := int(z.fresh) - 1; i >= 0; i-- {
		if free.has(i) {
			p.header(c, run, i).tag = uint32(z.free)
			z.free = uint16(i)
		}
	}
}

// moveLocked migrates one object, counts it, and says whether to stop for now.
func (p *Pool) moveLocked(c *class, src uint32, i int, dst uint32, r *Compaction, budget int) (stop bool) {
	moved, err := p.migrateLocked(c, p.header(c, src, i).handle, src, i, dst)
	switch {
	case err != nil:
		return true
	case !moved:
		r.Skipped++
		return src == dst // packing goes from the end, and this one is in the way
	}
	r.Objects++
	r.Bytes += c.size
	return r.Bytes >= budget || c.mu.contended()
}

// migrateLocked moves one object to another zspage of its class, if nobody has it pinned. The order of its steps
// is the protocol of the package comment; each is safe to be killed after.
func (p *Pool) migrateLocked(c *class, h Handle, src uint32, i int, dst uint32) (moved bool, err error) {
	if invariant.Mutant != "" {
		return p.migrateWrong(c, h, src, i, dst)
	}
	if !p.handles.known(h) {
		return false, nil // the header is damaged
	}
	w := p.handles.word(h)
	if !tryPin(w, makeLocation(c.index, src, i).unpinned()) {
		return false, nil
	}
	step("migrate: pinned")
	j, err := p.takeFromLocked(c, dst, p.zspageAt(c.lane, dst))
	if err != nil {
		unpin(w)
		return false, err
	}
	step("migrate: taken")
	copy(p.payload(c, dst, j), p.payload(c, src, i))
	*p.header(c, dst, j) = *p.header(c, src, i)
	step("migrate: copied")
	recordObj(w, makeLocation(c.index, dst, j).pinned())
	step("migrate: published")
	unpin(w)
	step("migrate: unpinned")
	p.putObjectLocked(c, src, i)
	step("migrate: source freed")
	return true, nil
}
