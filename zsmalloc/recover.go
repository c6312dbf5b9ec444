package zsmalloc

import (
	"errors"
	"slices"
	"sort"

	"github.com/zswapd/zswapd/internal/arena"
)

// Recovery rebuilds a pool from what a dead process left in the arena. The caller names every handle that it
// still knows; whatever else is there is garbage of operations that were under way.
// It is for one goroutine, and nobody else may use the arena meanwhile.
type Recovery struct {
	p       *Pool
	extents []arena.Extent // what was resident in the arena when it was opened
	placed  bitset         // handles whose words say a place where an object can be
	adopted bitset         // handles, of those
	places  bitset         // objects of zspages; see zspage.mark
	strict  bool           // two words disagreed: a place is its handle's only if the header there says so
	top     Handle         // the largest adopted
	keep    int64          // frames of free runs that may be kept, for a reserve; 0: none
	kept    int64          // of them
	wipe    bool           // what nobody adopts is overwritten
	left    int            // objects that nobody adopted, once Finish was called
}

// Open begins the recovery of a pool that was made with the same options in the same region of the arena.
func Open(a *arena.Arena, base int64, o Options) (*Recovery, error) {
	r, err := Prepare(a, base, o)
	if err != nil {
		return nil, err
	}
	there, err := a.Extents()
	if err == nil {
		err = r.Begin(there)
	}
	if err != nil {
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

// Begin begins the recovery: from now on nobody else may use the arena, in which there is what is resident.
func (r *Recovery) Begin(there []arena.Extent) error {
	p := r.p
	r.extents = there
	if !r.resident(p.handles.base, frameSize) {
		if err := p.a.Commit(p.handles.base, frameSize); err != nil {
			return err
		}
		i := sort.Search(len(there), func(i int) bool { return there[i].Off > p.handles.base })
		r.extents = slices.Insert(slices.Clone(there), i, arena.Extent{Off: p.handles.base, End: p.handles.base + frameSize})
	}
	step("recover: opened")
	return r.survey()
}

// Keep lets Finish leave up to so many frames of free runs as they are, ready for use, and those that zspages have for objects
// to come, which it would release otherwise. They are for StartReserve: what the process before had in reserve, this one has
// from the beginning.
func (r *Recovery) Keep(frames int64) { r.keep = frames }

// Wipe makes Finish overwrite with zeros what nobody has adopted, as SetWipeOnFree does with objects that are freed: the process before
// may have been killed between two steps of that.
func (r *Recovery) Wipe() { r.wipe = true }

// Adopt claims a handle whose object was made for size bytes, and clears a pin that its last owner died with. It goes by the
// handle's word, and does not look at the object: if that or its header is damaged, Pin will say so.
// A handle that is damaged is ErrBadHandle, one that was adopted before ErrAdopted.
func (r *Recovery) Adopt(h Handle, size int) error {
	c, l, ok := r.find(h)
	if !ok || !r.p.madeFor(c, size) {
		return ErrBadHandle
	}
	if r.adopted.has(int(h)) {
		return ErrAdopted
	}
	if r.strict && !r.claim(c, l) {
		return ErrBadHandle // two handles disagree about what is cut from these frames
	}
	if w := r.p.handles.word(h); w.Load() != l.unpinned() {
		recordObj(w, l.unpinned())
	}
	step("recover: handle adopted")
	r.adopted.set(int(h))
	r.top = max(r.top, h)
	return nil
}

// Object returns the bytes and the tag of a handle's object that was made for size bytes, adopted or not. It is
// ErrBadHandle if there is none, or not all of it, or its header is another's. The bytes are only to be read, and only until
// Finish.
func (r *Recovery) Object(h Handle, size int) (object []byte, tag uint32, err error) {
	p := r.p
	c, l, ok := r.find(h)
	if !ok || !p.madeFor(c, size) || !r.names(c, l, h) {
		return nil, 0, ErrBadHandle
	}
	z, first := p.zspageAt(c.lane, l.run()), l.index()*c.size/frameSize
	for f := first; f*frameSize < (l.index()+1)*c.size; f++ {
		if z.there&(1<<f) == 0 {
			return nil, 0, ErrBadHandle
		}
	}
	return p.payload(c, l.run(), l.index())[:size:size], p.header(c, l.run(), l.index()).tag, nil
}

// madeFor reports whether objects of size bytes are made in class c: what a damaged handle word says must agree with that,
// or it would claim a whole zspage for the wrong class.
func (p *Pool) madeFor(c *class, size int) bool {
	return size >= 1 && size <= MaxSize && p.classes[p.slots[sizeSlot(size)]] == c
}

// Abort ends a recovery that cannot go on. What is in the arena can be opened again.
func (r *Recovery) Abort() error { return r.p.private.Close() }

// Unclaimed returns, after Finish, how many objects nobody had adopted. One for each thread that was killed at work is
// what to expect; more says that whoever knew their handles has forgotten them.
func (r *Recovery) Unclaimed() int { return r.left }

// resident reports whether a range was committed when the pool was opened. Touching one that was not would
// fault in memory that nobody counts.
func (r *Recovery) resident(off, n int64) bool {
	i := sort.Search(len(r.extents), func(i int) bool { return r.extents[i].End > off })
	return i < len(r.extents) && r.extents[i].Off <= off && off+n <= r.extents[i].End
}
