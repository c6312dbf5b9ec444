package zsmalloc

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
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
	for h, size := range map[Handle]int{one.h: 500, out: 500} {
		if err := rec.Adopt(h, size); !errors.Is(err, ErrBadHandle) {
			t.Errorf("handle %d: %v", h, err)
		}
	}
	noErr(t, rec.Adopt(long.h, 3000)) // whose headers were hit
	noErr(t, rec.Adopt(huge.h, MaxSize))
	p, err = rec.Finish()
	noErr(t, err)
	for _, h := range []Handle{long.h, huge.h} {
		if _, _, err := p.Pin(h); !errors.Is(err, ErrBadHandle) {
			t.Errorf("pin of handle %d: %v", h, err)
		}
		noErr(t, p.Free(h))
	}
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

// Damaged words are refused, and so are headers where two words disagree. What is whole survives beside them.
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

// Recovery without headers finds what recovery by headers finds: the same pool, if nothing is damaged.
func TestRecoveryByWordsAndByHeaders(t *testing.T) {
	r := newRand(t)
	o := small(Options{})
	a := newArena(t, o, 8<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	var live []object
	for range 3000 {
		if len(live) > 0 && r.IntN(3) == 0 {
			i := r.IntN(len(live))
			noErr(t, p.Free(live[i].h))
			live = slices.Delete(live, i, i+1)
		}
		live = append(live, mustPut(t, p, r.Uint64(), 1+r.IntN(1000)))
	}
	var stats []Stats
	for _, strict := range []bool{false, true, false} {
		noErr(t, p.private.Close())
		rec, err := Open(a, 0, o)
		noErr(t, err)
		if rec.strict {
			t.Fatal("there was nothing to doubt")
		}
		if strict {
			rec.distrust()
		}
		for _, o := range live {
			noErr(t, rec.Adopt(o.h, o.size))
		}
		p, err = rec.Finish()
		noErr(t, err)
		noErr(t, p.Check())
		for _, o := range live {
			noErr(t, o.verify(p))
		}
		stats = append(stats, p.Stats())
	}
	if !reflect.DeepEqual(stats[0], stats[1]) || !reflect.DeepEqual(stats[0], stats[2]) {
		t.Errorf("by words %+v\nby headers %+v\nby words %+v", stats[0], stats[1], stats[2])
	}
	noErr(t, p.Close())
}

// A process that was killed between the two halves of a Free may leave two handles with one place: the header says whose it is.
func TestRecoveryOfAPlaceTwiceNamed(t *testing.T) {
	for _, first := range []bool{false, true} {
		o := small(Options{})
		a := newArena(t, o, 4<<20)
		p, err := New(a, 0, o)
		noErr(t, err)
		old, new := mustPut(t, p, 1, 500), mustPut(t, p, 2, 500)
		if first {
			old, new = new, old
		}
		other := mustPut(t, p, 3, 700)
		p.handles.word(old.h).Store(p.handles.word(new.h).Load())
		noErr(t, p.private.Close())
		rec, err := Open(a, 0, o)
		noErr(t, err)
		if err := rec.Adopt(old.h, 500); !errors.Is(err, ErrBadHandle) {
			t.Errorf("the one that was freed: %v", err)
		}
		noErr(t, errors.Join(rec.Adopt(new.h, 500), rec.Adopt(other.h, 700)))
		p, err = rec.Finish()
		noErr(t, err)
		noErr(t, errors.Join(p.Check(), new.verify(p), other.verify(p), p.Close(), a.Close()))
	}
}

// Headers that were hit cost their own objects only, whatever is then done with the pool: Pin refuses them, Free frees them,
// and to malloc, free and compact beside them is safe. When they are freed the pool is as good as any.
func TestDamagedHeaders(t *testing.T) {
	r := newRand(t)
	for range 60 {
		damagedHeaders(t, r)
	}
}

func damagedHeaders(t *testing.T, r *rand.Rand) {
	o := small(Options{ChainSize: []int{1, 4, 16}[r.IntN(3)]})
	a := newArena(t, o, 8<<20)
	defer a.Close()
	p, err := New(a, 0, o)
	noErr(t, err)
	sizes := []int{24, 500, 1620, 3000, MaxSize}
	var all []object
	for range 300 {
		all = append(all, mustPut(t, p, r.Uint64(), sizes[r.IntN(len(sizes))]))
	}
	free := func(list []object) []object {
		i := r.IntN(len(list))
		noErr(t, p.Free(list[i].h))
		return slices.Delete(list, i, i+1)
	}
	for range 100 {
		all = free(all)
	}
	var hit []object
	for range 1 + r.IntN(20) {
		i, j := r.IntN(len(all)), r.IntN(len(all))
		header := func(i int) *header {
			l := locationOf(p.handles.word(all[i].h).Load())
			return p.header(p.classes[l.class()], l.run(), l.index())
		}
		switch hd := header(i); r.IntN(5) {
		case 0:
			hd.handle = 0
		case 1:
			hd.handle, hd.tag = 0, noObject
		case 2:
			hd.handle, hd.tag = Handle(r.Uint32()), r.Uint32()
		case 3:
			hd.handle = 1<<32 - 1
		case 4:
			if i == j {
				continue
			}
			hd.handle = all[j].h // which has a place of its own
		}
		hit = append(hit, all[i])
		all = slices.Delete(all, i, i+1)
	}
	noErr(t, p.private.Close())
	rec, err := Open(a, 0, o)
	noErr(t, err)
	for _, o := range append(slices.Clone(all), hit...) {
		noErr(t, rec.Adopt(o.h, o.size))
	}
	p, err = rec.Finish()
	noErr(t, err)
	for range 400 {
		switch r.IntN(10) {
		case 0:
			p.Compact(r.IntN(1 << 14))
		case 1, 2, 3, 4:
			all = append(all, mustPut(t, p, r.Uint64(), sizes[r.IntN(len(sizes))]))
		case 5:
			if i := r.IntN(len(hit) + 1); i < len(hit) && r.IntN(4) == 0 {
				noErr(t, p.Free(hit[i].h))
				hit = slices.Delete(hit, i, i+1)
			}
		default:
			all = free(all)
		}
		if r.IntN(20) == 0 {
			damaged, err := p.CheckDamaged()
			noErr(t, err)
			if len(damaged) != len(hit) {
				t.Fatalf("%d headers damaged, %d found", len(hit), len(damaged))
			}
		}
	}
	for _, o := range hit {
		if _, _, err := p.Pin(o.h); !errors.Is(err, ErrBadHandle) {
			t.Fatalf("pin: %v", err)
		}
		noErr(t, p.Free(o.h))
	}
	noErr(t, p.Check())
	for _, o := range all {
		noErr(t, errors.Join(o.verify(p), p.Free(o.h)))
	}
	if s := p.Stats(); s.Objects != 0 {
		t.Fatalf("%d objects are left", s.Objects)
	}
	noErr(t, errors.Join(p.Check(), p.Close()))
}
