package zsmalloc

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// Whatever a dead process left, recovery keeps what is adopted, and only that.
func TestRecoveryKeepsWhatIsAdopted(t *testing.T) {
	for _, chain := range []int{1, 8, 16} {
		r := newRand(t)
		o := small(Options{ChainSize: chain})
		a := newArena(t, o, 8<<20)
		var live []object
		p, err := New(a, 0, o)
		noErr(t, err)
		for round := range 4 {
			if round > 0 {
				p, live = recoverPool(t, r, p, o, live)
			}
			for range 3000 {
				if len(live) > 0 && r.IntN(5) < 2 {
					i := r.IntN(len(live))
					noErr(t, live[i].verify(p))
					noErr(t, p.Free(live[i].h))
					live[i] = live[len(live)-1]
					live = live[:len(live)-1]
					continue
				}
				o, err := put(p, r.Uint64(), 1+r.IntN(MaxSize))
				if errors.Is(err, ErrNoSpace) {
					p.Compact(1 << 16)
					continue
				}
				noErr(t, err)
				live = append(live, o)
			}
			noErr(t, p.Check())
			noErr(t, p.private.Close()) // the process is gone; its memory in the arena is not
		}
		noErr(t, a.Close())
	}
}

// recoverPool opens what the dead pool left. A tenth of the objects is forgotten: they were being stored when the
// process died, and take no memory afterwards. Some of the others were pinned.
func recoverPool(t *testing.T, r *rand.Rand, dead *Pool, o Options, all []object) (*Pool, []object) {
	t.Helper()
	used := dead.a.Budget().Used()
	var live []object
	for _, o := range all {
		switch r.IntN(10) {
		case 0:
			continue
		case 1:
			dead.handles.word(o.h).Or(pinBit)
		}
		live = append(live, o)
	}
	rec, err := Open(dead.a, 0, o)
	noErr(t, err)
	for _, o := range live {
		noErr(t, rec.Adopt(o.h, o.size))
		if err := rec.Adopt(o.h, o.size); !errors.Is(err, ErrAdopted) {
			t.Fatalf("adopted twice: %v", err)
		}
	}
	p, err := rec.Finish()
	noErr(t, err)
	noErr(t, p.Check())
	if n := p.Stats().Objects; n != len(live) {
		t.Fatalf("%d objects after recovery, want %d", n, len(live))
	}
	for _, o := range live {
		noErr(t, o.verify(p))
	}
	if now := p.a.Budget().Used(); now > used+1<<20 {
		t.Errorf("%d bytes before, %d after", used, now)
	}
	return p, live
}

// Spare bits of a handle word say nothing, so damage there costs nothing.
func TestRecoveryForgivesSpareBits(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	var all []object
	for bit := 52; bit < 63; bit++ {
		o := mustPut(t, p, uint64(bit), 500)
		p.handles.word(o.h).Or(1 << bit)
		all = append(all, o)
	}
	noErr(t, p.private.Close())
	rec, err := Open(a, 0, o)
	noErr(t, err)
	for _, o := range all {
		noErr(t, rec.Adopt(o.h, o.size))
	}
	p, err = rec.Finish()
	noErr(t, err)
	noErr(t, p.Check())
	for _, o := range all {
		noErr(t, o.verify(p))
	}
	noErr(t, p.Close())
}

// The first object of a zspage begins where it would in any class. A handle that is wrong about the class is damaged, and
// must not claim the zspage: the others in it are in order.
func TestRecoveryRefusesAnotherClass(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	var all []object
	for i := range 8 {
		all = append(all, mustPut(t, p, uint64(i), 500))
	}
	l := locationOf(p.handles.word(all[0].h).Load())
	for _, c := range p.classes {
		if was := p.classes[l.class()]; c.lane == was.lane && c.size > was.size {
			p.handles.word(all[0].h).Store(makeLocation(c.index, l.run(), l.index()).unpinned())
			break
		}
	}
	if l.index() != 0 || locationOf(p.handles.word(all[0].h).Load()) == l {
		t.Fatal("the test does not test")
	}
	noErr(t, p.private.Close())
	rec, err := Open(a, 0, o)
	noErr(t, err)
	if err := rec.Adopt(all[0].h, 500); !errors.Is(err, ErrBadHandle) {
		t.Errorf("another class: %v", err)
	}
	for _, o := range all[1:] {
		noErr(t, rec.Adopt(o.h, o.size))
	}
	p, err = rec.Finish()
	noErr(t, err)
	noErr(t, p.Check())
	for _, o := range all[1:] {
		noErr(t, o.verify(p))
	}
	noErr(t, p.Close())
}

// A word that leads out of its lane, or a handle that leads out of the table, is refused even if what lies there agrees.
func TestRecoveryStaysInItsTables(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	one, other, long, huge := mustPut(t, p, 1, 500), mustPut(t, p, 2, 500), mustPut(t, p, 3, 3000), mustPut(t, p, 4, MaxSize)
	place := func(o object) (*class, location) {
		l := locationOf(p.handles.word(o.h).Load())
		return p.classes[l.class()], l
	}
	c, l := place(one)
	c2, l2 := place(long)
	run := uint32((p.object(c2, l2.run(), 0) - p.lanes[c.lane].base) / frameSize) // the frame of long, as if it were of one's lane
	p.handles.word(one.h).Store(makeLocation(l.class(), run, 0).unpinned())
	p.header(c2, l2.run(), 0).handle = one.h

	_, l3 := place(huge)
	out := Handle((p.hugeHeaders + int64(l3.run())*headerSize - p.handles.base) / 8) // its header, as if it were a handle's word
	_, l4 := place(other)
	p.handles.word(out).Store(l4.unpinned())
	p.header(c, l4.run(), l4.index()).handle = out
	if c.lane == c2.lane || run < p.lanes[c.lane].runs || uint32(out) <= p.handles.max {
		t.Fatal("the test does not test")
	}
	noErr(t, p.private.Close())

	rec, err := Open(a, 0, o)
	noErr(t, err)
	for h, size := range map[Handle]int{one.h: 500, out: 500, long.h: 3000, huge.h: MaxSize} {
		if err := rec.Adopt(h, size); !errors.Is(err, ErrBadHandle) {
			t.Errorf("handle %d: %v", h, err)
		}
	}
	p, err = rec.Finish()
	noErr(t, err)
	noErr(t, p.Check())
	noErr(t, p.Close())
}

// Where a frame was punched out, recovery does not look: a touch would fault in memory that nobody counts.
func TestRecoveryTouchesNoHoles(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	huge, first, second := mustPut(t, p, 1, MaxSize), mustPut(t, p, 2, 3000), mustPut(t, p, 3, 3000)
	l := locationOf(p.handles.word(second.h).Load())
	c := p.classes[l.class()]
	at := p.object(c, l.run(), l.index())
	if at/frameSize == (at+int64(c.size)-1)/frameSize {
		t.Fatal("the test does not test: the second object is in one frame")
	}
	noErr(t, a.Release(p.hugeHeaders, frameSize))
	noErr(t, a.Release(at/frameSize*frameSize+frameSize, frameSize))
	noErr(t, p.private.Close())

	rec, err := Open(a, 0, o)
	noErr(t, err)
	if err := rec.Adopt(huge.h, MaxSize); !errors.Is(err, ErrBadHandle) {
		t.Errorf("without a header: %v", err)
	}
	noErr(t, rec.Adopt(first.h, 3000))
	noErr(t, rec.Adopt(second.h, 3000)) // as far as can be told without reading it
	if object, _, err := rec.Object(first.h, 3000); err != nil || len(object) != 3000 {
		t.Errorf("a whole object: %d bytes, %v", len(object), err)
	}
	if _, _, err := rec.Object(second.h, 3000); !errors.Is(err, ErrBadHandle) {
		t.Errorf("half an object: %v", err)
	}
	there := int64(0)
	noErr(t, a.Resident(0, a.Size(), func(_, n int64) { there += n }))
	private, err := rec.p.PrivateBytes()
	noErr(t, err)
	if used := a.Budget().Used(); used != there+private {
		t.Errorf("%d bytes resident, %d accounted for", there+private, used)
	}
	p, err = rec.Finish()
	noErr(t, err)
	noErr(t, first.verify(p))
	noErr(t, p.Check())
	noErr(t, p.Close())
}

// What nobody adopted is counted once, and is gone.
func TestRecoveryCountsWhatIsUnclaimed(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	var all []object
	for i := range 600 { // handles in two frames of the table
		all = append(all, mustPut(t, p, uint64(i), 500))
	}
	noErr(t, p.Free(all[599].h))
	for round, want := range []int{598, 0} {
		noErr(t, p.private.Close())
		rec, err := Open(a, 0, o)
		noErr(t, err)
		noErr(t, rec.Adopt(all[0].h, 500))
		p, err = rec.Finish()
		noErr(t, err)
		if rec.Unclaimed() != want {
			t.Errorf("opened %d times: %d unclaimed objects, want %d", round+1, rec.Unclaimed(), want)
		}
		noErr(t, p.Check())
	}
	noErr(t, p.Close())
}

// Damaged words and headers are refused, and what is whole survives beside them.
func TestRecoveryRefusesDamage(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 4<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	var all []object
	for i := range 100 {
		all = append(all, mustPut(t, p, uint64(i), 500))
	}
	big := mustPut(t, p, 1, MaxSize)
	w := func(i int) uint64 { return p.handles.word(all[i].h).Load() }
	set := func(i int, word uint64) { p.handles.word(all[i].h).Store(word) }
	l := locationOf(w(5))
	set(0, 0)                                                                                 // a free handle
	set(1, w(1)&^liveBit)                                                                     // dead
	set(2, makeLocation(255, 1, 0).unpinned())                                                // no such class
	set(3, makeLocation(l.class(), 1<<31, 0).unpinned())                                      // no such run
	set(4, makeLocation(l.class(), l.run(), 1<<indexBits-1).unpinned())                       // no such object
	set(5, makeLocation(l.class(), l.run()+1000, l.index()).unpinned())                       // a hole
	set(6, w(7))                                                                              // somebody else's object
	p.header(p.classes[l.class()], locationOf(w(8)).run(), locationOf(w(8)).index()).handle++ // the back pointer
	noErr(t, p.private.Close())

	rec, err := Open(a, 0, o)
	noErr(t, err)
	for i := range 9 {
		err := rec.Adopt(all[i].h, 500)
		if want := i != 7; errors.Is(err, ErrBadHandle) != want {
			t.Errorf("object %d: %v", i, err)
		}
	}
	for _, bad := range []struct {
		h    Handle
		size int
	}{{0, 1}, {1 << 31, 1}, {all[50].h, 4000}} {
		if err := rec.Adopt(bad.h, bad.size); !errors.Is(err, ErrBadHandle) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, o := range append(all[9:], big) {
		noErr(t, rec.Adopt(o.h, o.size))
	}
	p, err = rec.Finish()
	noErr(t, err)
	defer func() { noErr(t, p.Close()) }()
	for _, o := range append(all[9:], all[7], big) {
		noErr(t, o.verify(p))
	}
	for range 200 {
		mustPut(t, p, 9, 500)
	}
	noErr(t, p.Check())
}
