package zsmalloc

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

// Compact is one step of compaction: it moves objects out of the emptiest zspages into the fullest of the same
// class, first where most can be freed, until budget bytes were copied or nothing is left to do, and reports
// what it did and whether more could be done. It gives a class lock back as soon as somebody waits for it.
func (p *Pool) Compact(budget int) (r Compaction, more bool) {
	for r.Bytes < budget {
		c := p.mostFreeable()
		if c == nil {
			return r, false
		}
		step := p.compactClass(c, budget-r.Bytes)
		r.add(step)
		if step.Objects == 0 {
			return r, false // what is left is pinned; its owners will not be waited for
		}
	}
	return r, p.mostFreeable() != nil
}

// mostFreeable returns the class in which compaction can free the most frames, or nil.
func (p *Pool) mostFreeable() (best *class) {
	most := 0
	for _, c := range p.classes {
		c.mu.Lock()
		if n := c.freeableFramesLocked(); n > most {
			best, most = c, n
		}
		c.mu.Unlock()
	}
	return best
}

// compactClass moves objects of one class under its lock, at most budget bytes and one object.
func (p *Pool) compactClass(c *class, budget int) (r Compaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.freeableFramesLocked() > 0 {
		dst := p.fullestLocked(c)
		src := p.emptiestLocked(c, dst)
		if src == 0 || dst == 0 {
			break
		}
		zspages := c.mu.zspages
		step, stop := p.emptyLocked(c, src, dst, budget-r.Bytes)
		if c.mu.zspages < zspages {
			step.Frames = c.framesPer
		}
		r.add(step)
		if stop {
			break
		}
	}
	p.objectsMigrated.Add(uint64(r.Objects))
	p.framesCompacted.Add(uint64(r.Frames))
	return r
}

// fullestLocked returns the run of the fullest zspage that can take an object without new memory: compaction must
// work when there is none. 0 for none. Preconditions for all below: c.mu is held.
func (p *Pool) fullestLocked(c *class) uint32 {
	for g := groupFull - 1; g > 0; g-- {
		for run := c.mu.groups[g]; run != 0; {
			z := p.zspageAt(c.lane, run)
			if z.free != noObject || (int(z.fresh)+1)*c.size <= int(z.committed.Load())*frameSize {
				return run
			}
			run = z.next
		}
	}
	return 0
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

// emptyLocked moves objects from src to dst until src is empty, dst is full, the budget is used up, somebody
// waits for the lock, or an object is pinned. stop says that the class is to be left alone for now.
func (p *Pool) emptyLocked(c *class, src, dst uint32, budget int) (r Compaction, stop bool) {
	from, to := p.zspageAt(c.lane, src), p.zspageAt(c.lane, dst)
	for i := 0; i < int(from.fresh); i++ {
		h := p.header(c, src, i).handle
		if h == 0 {
			continue
		}
		if int(to.inuse) == c.objsPerZspage {
			return r, r.Skipped > 0
		}
		last := from.inuse == 1
		switch moved, err := p.migrateLocked(c, h, src, i, dst); {
		case err != nil:
			return r, true
		case !moved:
			r.Skipped++
			continue
		}
		r.Objects++
		r.Bytes += c.size
		if last {
			return r, r.Bytes >= budget || c.mu.contended()
		}
		if r.Bytes >= budget || c.mu.contended() {
			return r, true
		}
	}
	return r, true // what is left in src is pinned
}

// migrateLocked moves one object to another zspage of its class, if nobody has it pinned. The order of its steps
// is the protocol of the package comment; each is safe to be killed after.
func (p *Pool) migrateLocked(c *class, h Handle, src uint32, i int, dst uint32) (moved bool, err error) {
	w := p.handles.word(h)
	if !tryPin(w, makeLocation(c.index, src, i).unpinned()) {
		return false, nil
	}
	j, err := p.takeFromLocked(c, dst, p.zspageAt(c.lane, dst))
	if err != nil {
		unpin(w)
		return false, err
	}
	copy(p.payload(c, dst, j), p.payload(c, src, i))
	*p.header(c, dst, j) = *p.header(c, src, i)
	recordObj(w, makeLocation(c.index, dst, j).pinned())
	unpin(w)
	p.putObjectLocked(c, src, i)
	return true, nil
}
