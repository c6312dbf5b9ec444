package zsmalloc

// The survey goes through the handle table, once and in order, before anything is adopted, and notes which places its words
// name. If each place has one handle, and each zspage one class, there is nothing to doubt, and recovery does without the
// headers: to touch each of them would be to map each frame of the store, which takes most of the time that it could take.
// If two words disagree, one is damaged, or its owner was killed just when the object was freed: then the headers decide.

// survey finds out which handles' words name a place, and claims the places, unless two words disagree.
func (r *Recovery) survey() error {
	if err := r.describe(); err != nil {
		return err
	}
	r.noteFrames()
	for h, word := range r.words {
		c, l, ok := r.place(word)
		if !ok {
			continue
		}
		r.placed.grow(int(h))
		r.placed.set(int(h))
		if !r.strict && !r.claim(c, l) {
			r.distrust()
		}
	}
	r.adopted.grow(len(r.placed)*64 - 1)
	return nil
}

// words goes through the words of the handle table.
func (r *Recovery) words(yield func(h Handle, word uint64) bool) {
	t := &r.p.handles
	for _, e := range r.extents {
		for off := max(e.Off, t.base+8); off < min(e.End, t.base+(int64(t.max)+1)*8); off += 8 {
			if !yield(Handle((off-t.base)/8), t.a.Word(off).Load()) {
				return
			}
		}
	}
}

// describe commits the descriptors up to the last run of each lane that a word names and that is there.
func (r *Recovery) describe() error {
	p := r.p
	var last [lanes]uint32
	for _, word := range r.words {
		l := locationOf(word)
		if word&liveBit == 0 || int(l.class()) >= len(p.classes) {
			continue
		}
		c := p.classes[l.class()]
		if l.run() <= last[c.lane] || l.run() >= p.lanes[c.lane].runs || l.index() >= c.objsPerZspage {
			continue
		}
		if r.resident(p.object(c, l.run(), l.index())/frameSize*frameSize, frameSize) {
			last[c.lane] = l.run()
		}
	}
	for l, run := range last {
		if run > 0 {
			if err := p.describe(uint8(l), run); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteFrames notes in the descriptors which frames of their runs are resident.
func (r *Recovery) noteFrames() {
	p := r.p
	for _, e := range r.extents {
		for l := range uint8(lanes) {
			ln := &p.lanes[l]
			from, to := max(e.Off, ln.base), min(e.End, ln.base+int64(min(ln.described, ln.runs))<<l*frameSize)
			for frame := (from - ln.base) / frameSize; frame < (to-ln.base)/frameSize; frame++ {
				p.zspageAt(l, uint32(frame>>l)).there |= 1 << (frame & (1<<l - 1))
			}
		}
	}
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

// find returns the place of a handle's object, where the survey found one.
func (r *Recovery) find(h Handle) (c *class, l location, ok bool) {
	if !r.placed.has(int(h)) {
		return nil, 0, false
	}
	l = locationOf(r.p.handles.word(h).Load())
	c = r.p.classes[l.class()]
	l = makeLocation(c.index, l.run(), l.index())
	return c, l, !r.strict || r.names(c, l, h)
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
