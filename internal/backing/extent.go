package backing

import "sync/atomic"

// extent is what is known of an extent. All but live is the writer's.
type extent struct {
	live  atomic.Int32 // units that are wanted, by each who wants them
	used  bool         // something may be written in it, and not punched out
	bad   bool         // not all in it could be moved away: not tried again while anything in it is wanted
	floor int32        // what live was when cleaning it would have gained too little
}

const (
	none = -1 // no extent
	// minExtents is the smallest file: one that is being written, and those that are kept for the cleaner.
	minExtents = 2 + spareExtents
	// spareExtents are left for the cleaner, which must have somewhere to move to.
	spareExtents = 2
)

// tail is an extent that is not full.
type tail struct {
	extent int
	number uint64
	unit   int // the next to be written, at a block
}

// span returns where the objects of an extent are in the file.
func (f *File) span(extent int) (off, n int64) {
	off, n = int64(extent)*ExtentBytes, ExtentBytes
	if extent == 0 {
		off, n = off+markBytes, n-markBytes
	}
	return off, n
}

// Free says that one who wanted the object does not any more. It may be called where a page is waited for.
func (f *File) Free(p Place) {
	if p.sound(len(f.extents)) {
		f.want(p, -1)
	}
}

// Claim says after Adopt that one more wants the object. It reports false if there can be none.
func (f *File) Claim(p Place) bool {
	if !p.sound(len(f.extents)) || f.state.number(p.extent()).Load() == 0 {
		return false
	}
	f.want(p, 1)
	return true
}

// want counts that so many more want an object. Whoever makes an extent's count 0, or something else, counts the extent as well.
func (f *File) want(p Place, times int) {
	more := int32(times * p.Units())
	switch live := f.extents[p.extent()].live.Add(more); {
	case more == 0, p.extent() < f.first:
	case live == 0:
		f.counts.free.Add(1)
	case live == more:
		f.counts.free.Add(-1)
	}
	f.counts.live.Add(int64(times) * p.Bytes())
}

// freeLocked reports whether an extent can be written over.
func (f *File) freeLocked(i int) bool {
	return i >= f.first && f.extents[i].live.Load() == 0 && i != f.turn.open.extent && i != f.turn.held
}

// takeExtentLocked finds a free extent, the next one in the file if it can, so that the disk writes on where it was. spare
// are to be left. If the file system has no more to give, only those count that the file has already.
func (f *File) takeExtentLocked(spare int) (extent int, err error) {
	free := f.counts.free.Load()
	for _, i := range [...]int{f.turn.open.extent, f.turn.held} { // two extents: what is held was not open, nor free
		if i >= f.first && f.extents[i].live.Load() == 0 {
			free--
		}
	}
	if free <= int64(spare) {
		return none, ErrFull
	}
	left, err := f.disk.free()
	if err != nil {
		return none, err
	}
	tight := left < f.limits.minFree.Load()+ExtentBytes
	extent = none
	for i, n := f.turn.next, 0; n < len(f.extents); i, n = (i+1)%len(f.extents), n+1 {
		if !f.freeLocked(i) || tight && !f.extents[i].used {
			continue
		}
		if extent == none {
			extent = i
		}
		if spare--; spare < 0 {
			f.useExtentLocked(extent)
			return extent, nil
		}
	}
	if tight {
		return none, ErrNoSpace
	}
	return none, ErrFull
}

func (f *File) useExtentLocked(i int) {
	e := &f.extents[i]
	f.turn.next = (i + 1) % len(f.extents)
	e.used, e.bad, e.floor = true, false, 0
}

// FreeBytes returns how much is in extents that can be written over.
func (f *File) FreeBytes() int64 { return f.counts.free.Load() * ExtentBytes }

// Sweep gives extents in which nothing is wanted back to the file system, up to so many.
func (f *File) Sweep(extents int) (swept int, err error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	for i := range f.extents {
		if swept == extents || f.turn.closed {
			break
		}
		if e := &f.extents[i]; e.used && f.freeLocked(i) {
			if err := f.disk.punch(f.span(i)); err != nil {
				return swept, err
			}
			e.used, e.bad = false, false
			swept++
		}
	}
	return swept, nil
}
