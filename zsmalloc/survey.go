package zsmalloc

// The survey goes through the handle table, once and in order, before anything is adopted, and notes which places its words
// name. If each place has one handle, and each zspage one class, there is nothing to doubt, and recovery does without the
// headers: to touch each of them would be to map each frame of the store, which takes most of the time that it could take.
// If two words disagree, one is damaged, or its owner was killed just when the object was freed: then the headers decide.

// noteFrames notes in the descriptors which frames of their runs are resident.
func (r *Recovery) noteFrames() error {
	p := r.p
	for _, e := range r.extents {
		for l := range uint8(lanes) {
			ln := &p.lanes[l]
			from, to := max(e.Off, ln.base), min(e.End, ln.base+int64(ln.runs)<<l*frameSize)
			if from >= to {
				continue
			}
			if err := p.describe(l, uint32((to-1-ln.base)/frameSize>>l)); err != nil {
				return err
			}
			for frame := (from - ln.base) / frameSize; frame < (to-ln.base)/frameSize; frame++ {
				p.zspageAt(l, uint32(frame>>l)).there |= 1 << (frame & (1<<l - 1))
			}
		}
	}
	return nil
}

// survey finds out which handles' words name a place, and claims the places, unless two words disagree.
func (r *Recovery) survey() {
	t := &r.p.handles
	tableEnd := t.base + (int64(t.max)+1)*8
	for _, e := range r.extents {
		from, to := max(e.Off, t.base+8), min(e.End, tableEnd)
		if from >= to {
			continue
		}
		r.placed.grow(int(to-t.base)/8 - 1)
		for off := from; off < to; off += 8 {
			c, l, ok := r.place(t.a.Word(off).Load())
			if !ok {
				continue
			}
			r.placed.set(int(off-t.base) / 8)
			if r.strict {
				continue
			}
			if !r.claim(c, l) {
				r.distrust()
			}
		}
	}
	r.adopted.grow(len(r.placed)*64 - 1)
}

// place returns the place that a handle's word names, if it is one and the first frame of the object there is resident. Spare
// bits of the word do not count.
func (r *Recovery) place(word uint64) (c *class, l location, ok bool) {
	p := r.p
	l = locationOf(word)
	if word&liveBit == 0 || int(l.class()) >= len(p.classes) {
		return nil, 0, false
	}
	c = p.classes[l.class()]
	l = makeLocation(c.index, l.run(), l.index())
	if l.run() == 0 || l.run() >= min(p.lanes[c.lane].runs, p.lanes[c.lane].described) || l.index() >= c.objsPerZspage {
		return nil, 0, false
	}
	there := p.zspageAt(c.lane, l.run()).there & (1 << (l.index() * c.size / frameSize))
	return c, l, there != 0 && (!c.huge || r.resident(p.hugeHeaders+int64(l.run())*headerSize, headerSize))
}

// find returns the place of a handle's object.
func (r *Recovery) find(h Handle) (c *class, l location, ok bool) {
	if !r.placed.has(int(h)) {
		return nil, 0, false
	}
	c, l, ok = r.place(r.p.handles.word(h).Load())
	return c, l, ok && (!r.strict || r.names(c, l, h))
}

// names reports whether the header at l names h.
func (r *Recovery) names(c *class, l location, h Handle) bool {
	return r.p.header(c, l.run(), l.index()).handle == h
}

// claim notes that there is an object at l, and reports false if the zspage is of another class, or has that object.
func (r *Recovery) claim(c *class, l location) bool {
	z := r.p.zspageAt(c.lane, l.run())
	if !z.used {
		z.use(c.index)
		z.mark = uint32(len(r.places))
		r.places.grow(len(r.places)*64 + c.objsPerZspage - 1)
	}
	place := int(z.mark)*64 + l.index()
	if z.class != c.index || r.places.has(place) {
		return false
	}
	r.places.set(place)
	return true
}

// distrust gives up all claims: from now on they are made one by one, by handles that are adopted and that headers name.
func (r *Recovery) distrust() {
	for l := range uint8(lanes) {
		for run := range r.p.lanes[l].described {
			r.p.zspageAt(l, run).used = false
		}
	}
	r.strict, r.places = true, r.places[:0]
}

// dropUnclaimed counts the objects that nobody adopted, and gives up what was claimed for them.
func (r *Recovery) dropUnclaimed() {
	for h := range r.placed.without(r.adopted) {
		c, l, ok := r.find(Handle(h))
		if !ok {
			continue
		}
		if r.names(c, l, Handle(h)) {
			r.left++
		}
		if z := r.p.zspageAt(c.lane, l.run()); !r.strict {
			r.places.clear(int(z.mark)*64 + l.index())
			z.used = r.places.span(z.mark, c.objsPerZspage).top() >= 0
		}
	}
}
