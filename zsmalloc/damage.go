package zsmalloc

// Recovery does not look at headers, so any of those that it left as they were may be damaged. What follows goes by the words
// of handles, which recovery has looked at, and by the free lists, which it has made; a header alone is believed in nothing.
// Free lists may be damaged since: one that leads to an object whose header names a handle gives nothing away.

// objectSet is a set of objects of one zspage.
type objectSet [1 << indexBits / 64]uint64

func (s *objectSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s *objectSet) set(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *objectSet) clear(i int)    { s[i/64] &^= 1 << (i % 64) }

// freeLocked puts the free objects of a zspage, of which set has none yet, into set. It reports false if its list is damaged.
// Preconditions: c.mu is held.
func (p *Pool) freeLocked(c *class, run uint32, z *zspage, set *objectSet) bool {
	n := 0
	for i := z.free; i != noObject; n++ {
		if i >= z.fresh || set.has(int(i)) || p.header(c, run, int(i)).handle != 0 {
			return false
		}
		set.set(int(i))
		i = uint16(p.header(c, run, int(i)).tag)
	}
	return n == int(z.fresh)-int(z.inuse)
}

// freeDamaged frees what a handle's word names though the header there does not name the handle, unless it is the word that
// is wrong: if nothing is allocated there, or it is somebody else's, it is ErrBadHandle.
func (p *Pool) freeDamaged(h Handle) error {
	if !p.handles.known(h) {
		return ErrBadHandle
	}
	w := p.handles.word(h)
	l, ok := pin(w)
	if !ok {
		return ErrBadHandle
	}
	c := p.classOf(l)
	if c == nil || !p.dropDamaged(c, l) {
		unpin(w)
		return ErrBadHandle
	}
	p.handles.free(h)
	return nil
}

// dropDamaged frees the object at l if it is allocated, and to nobody whom its header names.
func (p *Pool) dropDamaged(c *class, l location) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var free objectSet
	z := p.zspageAt(c.lane, l.run())
	if !z.used || z.class != c.index || l.index() >= int(z.fresh) || !p.freeLocked(c, l.run(), z, &free) || free.has(l.index()) {
		return false
	}
	if owner := p.header(c, l.run(), l.index()).handle; p.handles.known(owner) {
		if w := p.handles.word(owner).Load(); w&liveBit != 0 && locationOf(w) == l {
			return false
		}
	}
	p.putObjectLocked(c, l.run(), l.index())
	return true
}
