package zsmalloc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zswapd/zswapd/internal/arena"
)

// faults makes a few calls to the system fail: those of one kind from first to last, counted from 1.
type faults struct {
	op          arena.Op
	first, last int
	off         bool
	calls       int // of that kind
	failed      int
}

var errFault = errors.New("the system has none")

func (f *faults) fail(op arena.Op, _, _ int64) error {
	if f.off || op != f.op {
		return nil
	}
	if f.calls++; f.calls < f.first || f.calls > f.last {
		return nil
	}
	f.failed++
	return errFault
}

// TestFaults runs a script of operations again and again; each call to the system fails in one of the runs, alone or with
// the next few. No object is lost, no frame is forgotten, and a recovery that fails can be tried again.
func TestFaults(t *testing.T) {
	every := 1
	a := newArena(t, faultOptions, 0)
	if a.File() == nil {
		every = 13 // Go memory, as race builds have it, takes long to make
	}
	noErr(t, a.Close())
	for op, name := range map[arena.Op]string{arena.OpCommit: "commit", arena.OpRelease: "release", arena.OpResident: "resident"} {
		for _, row := range []int{1, 5} {
			if row > 1 && op == arena.OpResident {
				continue // a pool that is given up, too, must be told what to give back
			}
			step := every
			if op == arena.OpResident { // there are few
				step = 1
			}
			t.Run(fmt.Sprintf("%s,%d", name, row), func(t *testing.T) {
				runs, refused := 0, 0
				for failed := true; failed && !t.Failed(); runs++ {
					first := runs*max(row, step) + 1
					s := &faultScript{t: t, f: &faults{op: op, first: first, last: first + row - 1}, r: rand.New(rand.NewPCG(1, 2))}
					s.play()
					failed = s.f.failed > 0
					refused += s.refused
				}
				t.Logf("%d runs, %d refusals", runs, refused)
				if runs < 3 || step == 1 && op != arena.OpRelease && refused < runs/4 {
					t.Errorf("%d refusals in %d runs: the test did not test", refused, runs)
				}
			})
		}
	}
}

// faultScript is one run.
type faultScript struct {
	t       *testing.T
	f       *faults
	r       *rand.Rand // which is asked for the same numbers whatever fails
	a       *arena.Arena
	p       *Pool
	live    []object
	refused int // times that the fault was told
}

var faultOptions = Options{Handles: 4096, MaxFrames: 1024}

func (s *faultScript) play() {
	undo := arena.SetFault(s.f.fail)
	defer undo()
	s.a = newArena(s.t, faultOptions, 160*frameSize)
	s.open(func() (*Pool, error) { return New(s.a, 0, faultOptions) })
	s.put(600, 20)    // handles for more than a frame of their table
	s.put(145, 3800)  // so many frames that the next are committed ahead; 15 in a zspage
	s.free(140, 3800) // more than may stay ready
	s.put(30, 3650)   // 9 in a zspage, of those that are ready
	s.compact()
	s.free(200, 20)
	s.free(15, 3650)
	s.compact()
	s.reopen()
	s.compact()
	s.put(150, MaxSize) // more than there can be
	s.free(100, MaxSize)
	s.put(30, 1000)
	s.reopen()
	s.free(300, 20)
	s.compact()
	s.free(10, MaxSize)
	s.put(50, 500)
	s.f.off = true
	s.reopen()
	for _, o := range s.live {
		noErr(s.t, o.verify(s.p))
	}
	noErr(s.t, errors.Join(s.p.Check(), s.p.Close(), s.a.Close()))
	if n := s.a.Budget().Used(); n != 0 {
		s.t.Errorf("%d bytes leaked", n)
	}
}

// put allocates n objects, or is refused.
func (s *faultScript) put(n, size int) {
	s.t.Helper()
	for range n {
		o, err := put(s.p, s.r.Uint64(), size)
		switch {
		case err == nil:
			s.live = append(s.live, o)
		case errors.Is(err, ErrNoSpace) && errors.Is(err, errFault):
			s.refused++
		case !errors.Is(err, ErrNoSpace) || !errors.Is(err, arena.ErrLimit):
			s.t.Fatalf("a refused object: %v", err)
		}
	}
}

// free frees n of the objects of a size, at random.
func (s *faultScript) free(n, size int) {
	s.t.Helper()
	s.r.Shuffle(len(s.live), func(i, j int) { s.live[i], s.live[j] = s.live[j], s.live[i] })
	s.live = slices.DeleteFunc(s.live, func(o object) bool {
		if o.size != size || n == 0 {
			return false
		}
		noErr(s.t, errors.Join(o.verify(s.p), s.p.Free(o.h)))
		n--
		return true
	})
}

func (s *faultScript) compact() {
	s.t.Helper()
	calls := s.f.calls
	for more := true; more; {
		_, more = s.p.Compact(20_000)
	}
	if s.f.op == arena.OpCommit && s.f.calls != calls {
		s.t.Error("compaction takes memory")
	}
}

// reopen checks the pool, gives it up, and recovers it.
func (s *faultScript) reopen() {
	s.t.Helper()
	off := s.f.off
	s.f.off = true
	noErr(s.t, errors.Join(s.p.Check(), s.p.Close()))
	s.f.off = off
	s.open(func() (*Pool, error) { return recoverLive(s.a, faultOptions, s.live) })
}

// open tries until it succeeds.
func (s *faultScript) open(try func() (*Pool, error)) {
	s.t.Helper()
	for {
		failed, err := s.f.failed, error(nil)
		if s.p, err = try(); err == nil {
			return
		}
		if s.refused++; s.f.failed == failed || !errors.Is(err, errFault) {
			s.t.Fatal(err)
		}
	}
}

func recoverLive(a *arena.Arena, o Options, live []object) (*Pool, error) {
	r, err := Open(a, 0, o)
	if err != nil {
		return nil, err
	}
	for _, o := range live {
		if err := r.Adopt(o.h, o.size); err != nil {
			return nil, errors.Join(err, r.Abort())
		}
	}
	return r.Finish()
}

// Compaction takes no frame, not even to free two, and ends: of two zspages that are partly used, it packs the emptier if
// the other has no room, and does not move objects to and fro.
func TestCompactionWithoutMemoryEnds(t *testing.T) {
	for _, c := range []struct {
		first, second []int // the objects, of ten in nine frames, that recovery finds in two zspages
		moved, freed  int   // objects, frames
	}{
		{[]int{0, 1, 2, 3, 4, 5}, []int{0, 2, 3, 4}, 1, 1},    // only the emptier has room: packed
		{[]int{0, 1, 2, 3, 4, 6}, []int{0, 1, 2, 3}, 2, 1},    // one moves to the fuller; the other is packed then
		{[]int{0, 1, 2, 3, 4, 9}, []int{0, 1, 2, 3}, 4, 4},    // room for all
		{[]int{0, 1, 3, 4}, []int{0, 1, 2, 3, 5}, 3, 2},       // likewise, the other way round
		{[]int{0, 1, 2, 3, 4, 5}, []int{0, 1, 2, 3, 4}, 0, 0}, // nobody has room
	} {
		f := &faults{op: arena.OpCommit}
		undo := arena.SetFault(f.fail)
		o := small(Options{})
		a := newArena(t, o, 1<<20)
		p, err := New(a, 0, o)
		noErr(t, err)
		var all, live []object
		for i := range 20 {
			all = append(all, mustPut(t, p, uint64(i), 3650))
		}
		noErr(t, p.Close())
		for _, i := range c.first {
			live = append(live, all[i])
		}
		for _, i := range c.second {
			live = append(live, all[10+i])
		}
		p, err = recoverLive(a, o, live)
		noErr(t, err)
		undo()
		var did Compaction
		used, calls := a.Budget().Used(), f.calls
		for more, steps := true, 0; more; steps++ {
			var r Compaction
			r, more = p.Compact(1 << 20)
			if did.add(r); steps == 100 {
				t.Fatalf("%v: it goes on and on: %+v", c, did)
			}
		}
		if f.calls != calls {
			t.Errorf("%v: compaction takes memory", c)
		}
		p.releaseReady(0)
		if freed := (used - a.Budget().Used()) / frameSize; did.Objects != c.moved || freed != int64(c.freed) {
			t.Errorf("%v: moved %d objects, freed %d frames", c, did.Objects, freed)
		}
		for _, o := range live {
			noErr(t, o.verify(p))
		}
		noErr(t, errors.Join(p.Check(), p.Close(), a.Close()))
	}
}

// Recovery gives back what tables are longer than they need be: those of handles, of huge headers, and of descriptors.
func TestRecoveryCutsTables(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 8<<20)
	p, err := New(a, 0, o)
	noErr(t, err)
	first := mustPut(t, p, 1, MaxSize)
	for range 1100 {
		mustPut(t, p, 2, MaxSize)
	}
	noErr(t, errors.Join(p.Check(), p.Close()))
	p, err = recoverLive(a, o, []object{first})
	noErr(t, err)
	noErr(t, first.verify(p))
	if n := a.Budget().Used(); n != 4*frameSize {
		t.Errorf("%d bytes for one huge object, want four frames: itself, its header, its handle, its descriptor", n)
	}
	noErr(t, errors.Join(p.Check(), p.Close(), a.Close()))
}

// An object whose header names another handle is refused, and nothing stays pinned. It can be freed, but not by a handle whose
// word leads to what is another's, or nobody's.
func TestDamagedHeader(t *testing.T) {
	p := newTestPool(t, Options{}, 1<<20)
	for _, size := range []int{100, MaxSize} {
		o := mustPut(t, p, 1, size)
		l := locationOf(p.handles.word(o.h).Load())
		h := p.header(p.classes[l.class()], l.run(), l.index())
		refused := func(o object) {
			t.Helper()
			if _, _, err := p.Pin(o.h); !errors.Is(err, ErrBadHandle) || p.handles.word(o.h).Load()&pinBit != 0 {
				t.Fatalf("pin, %d bytes: %v, word %#x", size, err, p.handles.word(o.h).Load())
			}
		}
		h.handle++
		refused(o)
		h.handle--
		noErr(t, o.verify(p))

		wrong, gone, keep := mustPut(t, p, 2, size), mustPut(t, p, 3, size), mustPut(t, p, 4, size)
		right, nobody := p.handles.word(wrong.h).Load(), p.handles.word(gone.h).Load()
		noErr(t, p.Free(gone.h))
		for _, word := range []uint64{l.unpinned(), nobody} { // another's, and nobody's
			p.handles.word(wrong.h).Store(word)
			refused(wrong)
			if err := p.Free(wrong.h); !errors.Is(err, ErrBadHandle) || p.handles.word(wrong.h).Load()&pinBit != 0 {
				t.Fatalf("free, %d bytes: %v, word %#x", size, err, p.handles.word(wrong.h).Load())
			}
		}
		p.handles.word(wrong.h).Store(right)
		noErr(t, errors.Join(o.verify(p), wrong.verify(p), keep.verify(p)))
		h.handle = 0
		refused(o)
		noErr(t, errors.Join(p.Free(o.h), p.Check(), wrong.verify(p), keep.verify(p)))
		if err := p.Free(o.h); !errors.Is(err, ErrBadHandle) {
			t.Fatalf("freed twice: %v", err)
		}
	}
}
