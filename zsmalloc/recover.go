package zsmalloc

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/zswapd/zswapd/internal/arena"
)

// Recovery rebuilds a pool from what a dead process left in the arena. The caller names every handle that it
// still knows; whatever else is there is garbage of operations that were under way.
// It is for one goroutine, and nobody else may use the arena meanwhile.
type Recovery struct {
	p       *Pool
	extents []extent     // what was resident in the region when it was opened, by rising offset
	adopted []uint64     // bitmap of handles
	top     Handle       // the largest adopted
	zspages []zspageName // those that hold adopted objects, and free runs that are kept
	keep    int64        // frames of free runs that may be kept, for a reserve; 0: none
	kept    int64        // of them
	left    int          // objects that nobody adopted, once Finish was called
}

type extent struct{ off, end int64 }

type zspageName struct {
	lane uint8
	run  uint32
}

// Open begins the recovery of a pool that was made with the same options in the same region of the arena.
func Open(a *arena.Arena, base int64, o Options) (*Recovery, error) {
	r, err := Prepare(a, base, o)
	if err != nil {
		return nil, err
	}
	if err := r.Begin(); err != nil {
		return nil, errors.Join(err, r.Abort())
	}
	return r, nil
}

// Prepare is for somebody who will have to Begin when there is no memory to be had. Until Begin, the arena may still be in
// use by others.
func Prepare(a *arena.Arena, base int64, o Options) (*Recovery, error) {
	p, err := newPool(a, base, o)
	if err != nil {
		return nil, err
	}
	return &Recovery{p: p}, nil
}

// Foresee takes what private memory it would now take to recover what is in the arena, before Begin. It may be called
// again when more has come.
func (r *Recovery) Foresee() error {
	p := r.p
	for l := range uint8(lanes) {
		ln, last := &p.lanes[l], int64(0)
		stride := int64(frameSize) << l
		if err := p.a.Resident(ln.base, int64(ln.runs)*stride, func(off, n int64) { last = (off + n - ln.base - 1) / stride }); err != nil {
			return err
		}
		if err := p.describe(l, uint32(min(last+foreseen, int64(ln.runs)-1))); err != nil {
			return err
		}
	}
	return nil
}

// foreseen is how many runs of a lane may be added between Foresee and Begin: a few frames of descriptors.
const foreseen = 1024

// Begin begins the recovery: from now on nobody else may use the arena.
func (r *Recovery) Begin() error {
	p, first := r.p, int64(0)
	err := p.a.Resident(p.handles.base, frameSize, func(_, n int64) { first = n })
	if err == nil && first == 0 {
		err = p.a.Commit(p.handles.base, frameSize)
	}
	if err == nil {
		end := p.frames(lanes-1, p.lanes[lanes-1].runs)
		err = p.a.Resident(p.handles.base, end-p.handles.base, func(off, n int64) { r.extents = append(r.extents, extent{off, off + n}) })
	}
	step("recover: opened")
	return err
}

// Keep lets Finish leave up to so many frames of free runs as they are, ready for use, which it would release otherwise. They
// are for StartReserve: what the process before had in reserve, this one has from the beginning.
func (r *Recovery) Keep(frames int64) { r.keep = frames }

// resident reports whether a range was committed when the pool was opened. Touching one that was not would
// fault in memory that nobody counts.
func (r *Recovery) resident(off, n int64) bool {
	i := sort.Search(len(r.extents), func(i int) bool { return r.extents[i].end > off })
	return i < len(r.extents) && r.extents[i].off <= off && off+n <= r.extents[i].end
}

// Adopt claims a handle whose object was made for size bytes, and clears a pin that its last owner died with.
// A handle that is damaged is ErrBadHandle, one that was adopted before ErrAdopted; any other error means that there is no
// memory to recover with, says nothing about the object, and leaves nothing to do but Abort.
func (r *Recovery) Adopt(h Handle, size int) error {
	p := r.p
	c, l, ok := r.find(h)
	if !ok || !p.madeFor(c, size) {
		return ErrBadHandle
	}
	if r.isAdopted(h) {
		return ErrAdopted
	}
	if err := r.adoptZspage(c, l); err != nil {
		return err
	}
	recordObj(p.handles.word(h), l.unpinned())
	step("recover: handle adopted")
	for int(h/64) >= len(r.adopted) {
		r.adopted = append(r.adopted, 0)
	}
	r.adopted[h/64] |= 1 << (h % 64)
	r.top = max(r.top, h)
	return nil
}

// Object returns the bytes and the tag of a handle's object that was made for size bytes, adopted or not. It is
// ErrBadHandle if there is none, or not all of it. The bytes are only to be read, and only until Finish.
func (r *Recovery) Object(h Handle, size int) (object []byte, tag uint32, err error) {
	p := r.p
	c, l, ok := r.find(h)
	if !ok || !p.madeFor(c, size) {
		return nil, 0, ErrBadHandle
	}
	first := p.object(c, l.run(), l.index()) / frameSize * frameSize
	end := p.object(c, l.run(), l.index()) + int64(c.size)
	if !r.resident(first, end-first) {
		return nil, 0, ErrBadHandle
	}
	return p.payload(c, l.run(), l.index())[:size:size], p.header(c, l.run(), l.index()).tag, nil
}

// find returns the place of a handle's object, if the handle's word is one and the object there says that it is the
// handle's. Spare bits of the word do not count.
func (r *Recovery) find(h Handle) (c *class, l location, ok bool) {
	p := r.p
	if h == 0 || uint32(h) > p.handles.max || !r.resident(p.handles.base+int64(h)*8, 8) {
		return nil, 0, false
	}
	word := p.handles.word(h).Load()
	l = locationOf(word)
	if word&liveBit == 0 || int(l.class()) >= len(p.classes) {
		return nil, 0, false
	}
	c = p.classes[l.class()]
	l = makeLocation(c.index, l.run(), l.index())
	ok = l.run() != 0 && l.run() < p.lanes[c.lane].runs && l.index() < c.objsPerZspage &&
		r.resident(p.object(c, l.run(), l.index())/frameSize*frameSize, frameSize) &&
		(!c.huge || r.resident(p.hugeHeaders+int64(l.run())*headerSize, headerSize))
	return c, l, ok && p.header(c, l.run(), l.index()).handle == h
}

// madeFor reports whether objects of size bytes are made in class c: what a damaged handle word says must agree with that,
// or it would claim a whole zspage for the wrong class.
func (p *Pool) madeFor(c *class, size int) bool {
	return size >= 1 && size <= MaxSize && p.classes[p.slots[sizeSlot(size)]] == c
}

func (r *Recovery) isAdopted(h Handle) bool {
	return int(h/64) < len(r.adopted) && r.adopted[h/64]&(1<<(h%64)) != 0
}

// adoptZspage notes that the zspage at l holds an adopted object.
func (r *Recovery) adoptZspage(c *class, l location) error {
	p, run := r.p, l.run()
	if err := r.reach(c.lane, run); err != nil {
		return err
	}
	z := p.zspageAt(c.lane, run)
	switch {
	case !z.used:
		z.use(c.index)
		r.zspages = append(r.zspages, zspageName{c.lane, run})
	case z.class != c.index:
		return ErrBadHandle // two handles disagree about what is cut from these frames
	}
	z.fresh = max(z.fresh, uint16(l.index()+1))
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
	off := (p.hugeHeaders + int64(run)*headerSize) / frameSize * frameSize
	if l == 0 && !r.resident(off, frameSize) && (run == 1 || (p.hugeHeaders+int64(run)*headerSize)%frameSize == 0) {
		return p.a.Commit(off, frameSize)
	}
	return nil
}

// Abort ends a recovery that cannot go on. What is in the arena can be opened again.
func (r *Recovery) Abort() error { return r.p.private.Close() }

// Unclaimed returns, after Finish, how many objects nobody had adopted. One for each thread that was killed at work is
// what to expect; more says that whoever knew their handles has forgotten them.
func (r *Recovery) Unclaimed() int { return r.left }

// countUnclaimed looks at all handle words.
func (r *Recovery) countUnclaimed() {
	t := &r.p.handles
	tableEnd := t.base + (int64(t.max)+1)*8
	for _, e := range r.extents {
		for off := max(e.off, t.base+8); off < min(e.end, tableEnd); off += 8 {
			if h := Handle((off - t.base) / 8); t.word(h).Load()&liveBit != 0 && !r.isAdopted(h) {
				if _, _, ok := r.find(h); ok {
					r.left++
				}
			}
		}
	}
}

// Finish rebuilds everything else, releases all memory that no adopted object needs, and returns the pool.
func (r *Recovery) Finish() (*Pool, error) {
	p := r.p
	r.countUnclaimed()
	if err := r.keepReady(); err != nil {
		return nil, errors.Join(err, p.private.Close())
	}
	slices.SortFunc(r.zspages, func(a, b zspageName) int {
		if a.lane != b.lane {
			return int(a.lane) - int(b.lane)
		}
		return int(int64(a.run) - int64(b.run))
	})
	for _, n := range r.zspages {
		if !p.zspageAt(n.lane, n.run).used {
			continue // it is kept as it is
		}
		if err := r.rebuildZspage(n); err != nil {
			return nil, errors.Join(err, p.private.Close())
		}
		step("recover: zspage rebuilt")
	}
	err := errors.Join(r.discardGarbage(), r.rebuildHandles())
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
		first := max(e.off, ln.base+stride) // run 0 is nobody
		for off := ln.base + (first-ln.base+stride-1)/stride*stride; off+stride <= min(e.end, end); off += stride {
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
			p.zspageAt(l, run).committed.Store(1 << l)
			ln.taken.Add(1 << l)
			r.zspages = append(r.zspages, zspageName{l, run})
			r.kept, share = r.kept+1<<l, share-1<<l
		}
	}
	return nil
}

// rebuildZspage counts and links one zspage, and makes a free list of the objects that nobody adopted.
func (r *Recovery) rebuildZspage(n zspageName) error {
	p := r.p
	z := p.zspageAt(n.lane, n.run)
	c := p.classes[z.class]
	frames := (int(z.fresh)*c.size + frameSize - 1) / frameSize
	for f := range frames { // holes below the last object are damage, and the objects in them will not check
		if off := p.frames(n.lane, n.run) + int64(f)*frameSize; !r.resident(off, frameSize) {
			if err := p.a.Commit(off, frameSize); err != nil {
				return err
			}
		}
	}
	z.committed.Store(uint32(frames))
	for i := int(z.fresh) - 1; i >= 0; i-- {
		hd := p.header(c, n.run, i)
		if hd.handle != 0 && r.isAdopted(hd.handle) && p.handles.word(hd.handle).Load() == makeLocation(c.index, n.run, i).unpinned() {
			z.inuse++
			continue
		}
		*hd = header{tag: uint32(z.free)}
		step("recover: header cleared")
		z.free = uint16(i)
	}
	c.mu.zspages++
	c.mu.objects += int(z.inuse)
	c.mu.frames += frames
	p.linkLocked(c, n.run, z)
	return nil
}

// discardGarbage releases all frames of the lanes but those of the rebuilt zspages.
func (r *Recovery) discardGarbage() error {
	p := r.p
	next := p.hugeHeaders // the first offset not dealt with
	upTo := func(off int64) error {
		if off <= next {
			return nil
		}
		return p.a.Discard(next, off-next)
	}
	next += (int64(p.lanes[0].fresh.Load())*headerSize + frameSize - 1) / frameSize * frameSize
	if p.lanes[0].fresh.Load() == 1 {
		next = p.hugeHeaders // no run, no headers
	}
	var err error
	for _, n := range r.zspages {
		off := p.frames(n.lane, n.run)
		err = errors.Join(err, upTo(off))
		step("recover: garbage discarded")
		next = off + int64(p.zspageAt(n.lane, n.run).committed.Load())*frameSize
	}
	last := &p.lanes[lanes-1]
	return errors.Join(err, upTo(last.base+int64(last.runs)<<(lanes-1)*frameSize))
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
	for h := r.top; h > 0; h-- {
		if off := t.base + int64(h)*8; !r.resident(off/frameSize*frameSize, frameSize) {
			// A hole in the table is damage: no handle in it was adopted. Commit it once, from its last word.
			if h == r.top || (off+8)%frameSize == 0 {
				if err := r.p.a.Commit(off/frameSize*frameSize, frameSize); err != nil {
					return err
				}
			}
		}
		if r.isAdopted(h) {
			t.mu.inUse++
			continue
		}
		t.word(h).Store(uint64(t.mu.free) << 1)
		step("recover: handle freed")
		t.mu.free = h
	}
	return nil
}
