package zsmalloc

import (
	"errors"
	"fmt"
)

// Finish rebuilds everything else, releases all memory that no adopted object needs, and returns the pool.
func (r *Recovery) Finish() (*Pool, error) {
	p := r.p
	r.dropUnclaimed()
	err := r.rebuildZspages()
	if err == nil {
		err = r.keepReady()
	}
	if err == nil {
		err = errors.Join(r.discardGarbage(), r.rebuildHandles(), r.cutDescriptors())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("zsmalloc: recovery: %w", err), p.private.Close())
	}
	for l := range uint8(lanes) {
		for run := p.lanes[l].fresh.Load() - 1; run > 0; run-- {
			if z := p.zspageAt(l, run); !z.used {
				p.readyFrames.Add(int64(z.committed.Load()))
				p.push(l, run, z)
			}
		}
	}
	return p, nil
}

// keepReady finds free runs all of whose frames are there, an equal share of each lane and then whatever else there is.
func (r *Recovery) keepReady() error {
	if r.keep == 0 {
		return nil
	}
	for _, share := range []int64{r.keep / lanes, r.keep} {
		for l := range uint8(lanes) {
			if err := r.keepReadyOf(l, share); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepReadyOf keeps free runs of a lane, up to share frames more.
func (r *Recovery) keepReadyOf(l uint8, share int64) error {
	p := r.p
	ln, stride := &p.lanes[l], int64(frameSize)<<l
	end := ln.base + int64(ln.runs)*stride
	for _, e := range r.extents {
		first := max(e.Off, ln.base+stride) // run 0 is nobody
		for off := ln.base + (first-ln.base+stride-1)/stride*stride; off+stride <= min(e.End, end); off += stride {
			run := uint32((off - ln.base) / stride)
			if min(r.keep-r.kept, share) < 1<<l {
				return nil
			}
			if run < ln.fresh.Load() && (p.zspageAt(l, run).used || p.zspageAt(l, run).committed.Load() > 0) {
				continue
			}
			if err := r.reach(l, run); err != nil {
				return err
			}
			r.overwrite(off, off+stride)
			p.zspageAt(l, run).committed.Store(1 << l)
			ln.taken.Add(1 << l)
			r.kept, share = r.kept+1<<l, share-1<<l
		}
	}
	return nil
}

// rebuildZspages rebuilds those that hold adopted objects.
func (r *Recovery) rebuildZspages() error {
	for l := range uint8(lanes) {
		for run := range r.p.lanes[l].described {
			z := r.p.zspageAt(l, run)
			if !z.used {
				continue
			}
			if err := r.reach(l, run); err != nil {
				return err
			}
			if err := r.rebuildZspage(l, run, z); err != nil {
				return err
			}
			step("recover: zspage rebuilt")
		}
	}
	return nil
}

// rebuildZspage counts and links one zspage, and makes a free list of the objects that nobody adopted. It touches no others.
func (r *Recovery) rebuildZspage(l uint8, run uint32, z *zspage) error {
	p := r.p
	c := p.classes[z.class]
	objects := r.places.span(z.mark, c.objsPerZspage)
	z.fresh, z.inuse = uint16(objects.top()+1), uint16(objects.count())
	frames := (int(z.fresh)*c.size + frameSize - 1) / frameSize
	for f := range frames { // holes below the last object are damage, and the objects in them will not check
		if z.there&(1<<f) == 0 {
			if err := p.a.Commit(p.frames(l, run)+int64(f)*frameSize, frameSize); err != nil {
				return err
			}
		}
	}
	for r.keep > 0 && frames < c.framesPer && z.there&(1<<frames) != 0 { // of the reserve: Malloc finds no others
		frames++
	}
	z.committed.Store(uint32(frames))
	r.overwrite(p.frames(l, run)+int64(int(z.fresh)*c.size), p.frames(l, run)+int64(frames)*frameSize)
	for i := int(z.fresh) - 1; i >= 0 && z.inuse < z.fresh; i-- {
		if !objects.has(i) {
			if r.wipe {
				clear(p.payload(c, run, i))
			}
			*p.header(c, run, i) = header{tag: uint32(z.free)}
			step("recover: header cleared")
			z.free = uint16(i)
		}
	}
	c.mu.zspages++
	c.mu.objects += int(z.inuse)
	c.mu.frames += frames
	p.linkLocked(c, run, z)
	return nil
}

// discardGarbage releases all frames of the lanes but those of runs that are in use or kept, and the headers of lane 0 that
// no run has.
func (r *Recovery) discardGarbage() (err error) {
	p, next := r.p, 0 // next of the extents
	discard := func(from, to int64) {
		for ; next < len(r.extents) && r.extents[next].Off < to; next++ {
			e := r.extents[next]
			if off, end := max(e.Off, from), min(e.End, to); off < end {
				r.overwrite(off, end)
				err = errors.Join(err, p.a.Release(off, end-off))
				step("recover: garbage discarded")
			}
			if e.End > to {
				return
			}
		}
	}
	at := p.hugeHeaders // the first offset not dealt with
	if fresh := p.lanes[0].fresh.Load(); fresh > 1 {
		at += (int64(fresh)*headerSize + frameSize - 1) / frameSize * frameSize
	}
	for l := range uint8(lanes) {
		for run := uint32(1); run < p.lanes[l].fresh.Load(); run++ {
			if n := int64(p.zspageAt(l, run).committed.Load()); n > 0 {
				discard(at, p.frames(l, run))
				at = p.frames(l, run) + n*frameSize
			}
		}
	}
	last := &p.lanes[lanes-1]
	discard(at, last.base+int64(last.runs)<<(lanes-1)*frameSize)
	return err
}

// cutDescriptors releases those that no run needs.
func (r *Recovery) cutDescriptors() error {
	const perFrame = frameSize / zspageSize
	for l := range r.p.lanes {
		ln := &r.p.lanes[l]
		need := (ln.fresh.Load() + perFrame - 1) / perFrame * perFrame
		if ln.fresh.Load() == 1 {
			need = 0
		}
		if need >= ln.described {
			continue
		}
		if err := r.p.private.Release(ln.descriptors+int64(need)*zspageSize, int64(ln.described-need)*zspageSize); err != nil {
			return err
		}
		ln.described = need
	}
	return nil
}

// reach makes all runs of the lane up to run ones that were used once.
func (r *Recovery) reach(l uint8, run uint32) error {
	ln := &r.p.lanes[l]
	for next := ln.fresh.Load(); next <= run; next++ {
		if err := r.commitTables(l, next); err != nil {
			return err
		}
		ln.fresh.Store(next + 1)
	}
	return nil
}

// commitTables is commitDescriptors for tables of which a part is there already.
func (r *Recovery) commitTables(l uint8, run uint32) error {
	p := r.p
	if err := p.describe(l, run); err != nil {
		return err
	}
	at := p.hugeHeaders + int64(run)*headerSize
	off := at / frameSize * frameSize
	if l == 0 && (run == 1 || at == off) && !r.resident(off, frameSize) {
		return p.a.Commit(off, frameSize)
	}
	return nil
}

// rebuildHandles makes a free list of the handles that nobody adopted, and releases the table beyond the last.
func (r *Recovery) rebuildHandles() error {
	t := &r.p.handles
	tableEnd := t.base + (int64(t.max)+1)*8
	end := (t.base + (int64(r.top)+1)*8 + frameSize - 1) / frameSize * frameSize
	if r.keep > 0 {
		for used := end; end < min(used+handlesAhead*8, r.p.hugeHeaders) && r.resident(end, frameSize); {
			end += frameSize
		}
		t.ahead.Store(uint32(min((end-t.base)/8, int64(t.max)+1)))
	}
	if tail := r.p.hugeHeaders - end; tail > 0 {
		if err := r.p.a.Discard(end, tail); err != nil {
			return err
		}
		step("recover: handle table cut")
	}
	for off := t.base + (int64(r.top)+1)*8; off < min(end, tableEnd); off += 8 {
		t.a.Word(off).Store(0) // as in a new table: what is left there is no object any more
	}
	t.fresh.Store(uint32(r.top) + 1)
	t.mu.inUse = r.adopted.count()
	for h := r.top; h > 0; h-- {
		// A hole in the table is damage: no handle in it was adopted. Commit it once, from its last word.
		if off := t.base + int64(h)*8; (h == r.top || (off+8)%frameSize == 0) && !r.resident(off/frameSize*frameSize, frameSize) {
			if err := r.p.a.Commit(off/frameSize*frameSize, frameSize); err != nil {
				return err
			}
		}
		if r.adopted.has(int(h)) {
			continue
		}
		t.word(h).Store(uint64(t.mu.free) << 1)
		step("recover: handle freed")
		t.mu.free = h
	}
	return nil
}

// overwrite does so with what is from one offset to another, if that was asked for.
func (r *Recovery) overwrite(from, to int64) {
	for r.wipe && from < to {
		n := min(to-from, frameSize-from%frameSize)
		clear(r.p.a.Bytes(from, n))
		from += n
	}
}
