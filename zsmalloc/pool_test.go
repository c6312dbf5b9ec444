package zsmalloc

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes one from the clock")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run '%s' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func noErr(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newArena(t testing.TB, o Options, limit int64) *arena.Arena {
	t.Helper()
	a, err := arena.New("zsmalloc-test", o.Layout(), arena.NewBudget(limit))
	noErr(t, err)
	return a
}

func small(o Options) Options {
	if o.Handles == 0 {
		o.Handles = 1 << 16
	}
	if o.MaxFrames == 0 {
		o.MaxFrames = 1 << 12
	}
	return o
}

// newTestPool returns a pool that is checked and closed, and its memory counted, when the test ends.
func newTestPool(t testing.TB, o Options, limit int64) *Pool {
	t.Helper()
	o = small(o)
	a := newArena(t, o, limit)
	p, err := New(a, 0, o)
	noErr(t, err)
	t.Cleanup(func() {
		p.StopCompactor()
		p.StopReserve()
		noErr(t, p.Check())
		noErr(t, p.Close())
		noErr(t, a.Close())
		if n := a.Budget().Used(); n != 0 {
			t.Errorf("%d bytes leaked", n)
		}
	})
	return p
}

// object is what a test put into a pool: its bytes follow from seed and size.
type object struct {
	h    Handle
	seed uint64
	size int
}

func fill(b []byte, seed uint64) {
	for i := range b {
		b[i] = byte(seed>>(8*(i%8))) + byte(i)
	}
}

func put(p *Pool, seed uint64, size int) (object, error) {
	h, err := p.Malloc(size, uint32(seed))
	if err != nil {
		return object{}, err
	}
	b, _, err := p.Pin(h)
	if err != nil {
		return object{}, err
	}
	fill(b[:size], seed)
	p.Unpin(h)
	return object{h, seed, size}, nil
}

func mustPut(t testing.TB, p *Pool, seed uint64, size int) object {
	t.Helper()
	o, err := put(p, seed, size)
	noErr(t, err)
	return o
}

func (o object) verify(p *Pool) error {
	b, tag, err := p.Pin(o.h)
	if err != nil {
		return err
	}
	defer p.Unpin(o.h)
	want := make([]byte, o.size)
	fill(want, o.seed)
	if !bytes.Equal(b[:o.size], want) || tag != uint32(o.seed) {
		return errors.New("the object changed")
	}
	return nil
}

func TestEverySizeRoundTrips(t *testing.T) {
	for _, chain := range []int{1, 8, 16} {
		p := newTestPool(t, Options{ChainSize: chain}, 64<<20)
		var all []object
		for size := 1; size <= MaxSize; size++ {
			all = append(all, mustPut(t, p, uint64(size)*0x9e3779b97f4a7c15, size))
		}
		for _, o := range all {
			noErr(t, o.verify(p))
		}
		noErr(t, p.Check())
		for i := len(all) - 1; i >= 0; i -= 2 {
			noErr(t, p.Free(all[i].h))
		}
		for i := len(all) - 2; i >= 0; i -= 2 {
			noErr(t, all[i].verify(p))
		}
	}
}

// The limit is hard, a refusal changes nothing, and what is freed can be had again.
func TestFullPoolRefuses(t *testing.T) {
	p := newTestPool(t, Options{}, 1<<20)
	var all []object
	for {
		o, err := put(p, uint64(len(all)), 3000)
		if err != nil {
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, arena.ErrLimit) {
				t.Fatalf("a full pool says %v", err)
			}
			break
		}
		all = append(all, o)
	}
	if n := p.a.Budget().Used(); n > 1<<20 || n < 1<<20-64<<10 {
		t.Errorf("full at %d bytes of %d", n, 1<<20)
	}
	noErr(t, p.Check())
	for _, o := range all {
		noErr(t, o.verify(p))
		noErr(t, p.Free(o.h))
	}
	// All of another class now: its frames come from the ready ones of the first.
	for range len(all) / 2 {
		mustPut(t, p, 1, 2000)
	}
}

func TestHandlesRunOut(t *testing.T) {
	p := newTestPool(t, Options{Handles: 600}, 4<<20)
	var last Handle
	for range 600 {
		last = mustPut(t, p, 7, 40).h
	}
	if _, err := p.Malloc(40, 0); !errors.Is(err, ErrNoHandle) {
		t.Fatalf("handle 601 of 600: %v", err)
	}
	noErr(t, p.Free(last))
	mustPut(t, p, 8, 40)
}

// Frames that were freed and kept ready are not lost to the handle table.
func TestReadyFramesAreForHandles(t *testing.T) {
	p := newTestPool(t, Options{}, 1<<20)
	perFrame := frameSize / 8
	var large []object
	for range 10 {
		large = append(large, mustPut(t, p, 1, MaxSize))
	}
	for range perFrame - 1 - len(large) { // of the first frame, all handles but 0
		mustPut(t, p, 2, 24)
	}
	p.a.Budget().SetLimit(p.a.Budget().Used())
	for _, o := range large {
		noErr(t, p.Free(o.h))
	}
	for range len(large) + 1 {
		mustPut(t, p, 3, 24)
	}
}

func TestBadHandles(t *testing.T) {
	p := newTestPool(t, Options{}, 1<<20)
	o := mustPut(t, p, 1, 100)
	noErr(t, p.Free(o.h))
	for _, h := range []Handle{0, o.h, o.h + 1, 1<<32 - 1} {
		if _, _, err := p.Pin(h); !errors.Is(err, ErrBadHandle) {
			t.Errorf("Pin(%d): %v", h, err)
		}
		if err := p.Free(h); !errors.Is(err, ErrBadHandle) {
			t.Errorf("Free(%d): %v", h, err)
		}
	}
}

// A recycled handle whose word last held the pin is born unpinned: publishing never reads the old word.
func TestRecycledHandleIsBornUnpinned(t *testing.T) {
	p := newTestPool(t, Options{}, 1<<20)
	o := mustPut(t, p, 1, 100)
	noErr(t, p.Free(o.h))
	p.handles.word(o.h).Or(pinBit) // as its memory may be: the free list does not look at the bit
	again := mustPut(t, p, 2, 100)
	if again.h != o.h {
		t.Fatalf("handle %d was not recycled, got %d", o.h, again.h)
	}
	noErr(t, again.verify(p)) // would wait for ever
}

// Users allocate, pin, read, free, while compaction runs without pause; nothing may change under a pin.
func TestConcurrentUseAndCompaction(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	var stop atomic.Bool
	var background, users sync.WaitGroup
	background.Go(func() {
		for !stop.Load() {
			p.Compact(4096)
			time.Sleep(10 * time.Microsecond)
		}
	})
	moved := func() bool { _, n := p.Moved(); return n > 0 }
	r := newRand(t)
	for range 4 {
		r := rand.New(rand.NewPCG(r.Uint64(), 2))
		users.Go(func() {
			var mine []object
			for n := 0; n < 10_000 || !moved(); n++ { // on one CPU compaction may come late
				if len(mine) < 200 || r.IntN(2) == 0 && len(mine) < 1000 {
					o, err := put(p, r.Uint64(), 1+r.IntN(1500))
					if err != nil {
						t.Error(err)
						return
					}
					mine = append(mine, o)
					continue
				}
				i := r.IntN(len(mine))
				if err := mine[i].verify(p); err != nil {
					t.Error(err)
					return
				}
				if err := p.Free(mine[i].h); err != nil {
					t.Error(err)
					return
				}
				mine[i] = mine[len(mine)-1]
				mine = mine[:len(mine)-1]
			}
			for _, o := range mine {
				if err := errors.Join(o.verify(p), p.Free(o.h)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	stop.Store(true)
	background.Wait()
}

func TestNoAllocations(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	for i := range 1000 {
		mustPut(t, p, uint64(i), 1000)
	}
	if n := testing.AllocsPerRun(2000, func() {
		h, err := p.Malloc(1000, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Pin(h); err != nil {
			t.Fatal(err)
		}
		p.Unpin(h)
		if err := p.Free(h); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v Go allocations per object", n)
	}
}

// Flipped bits in what a running pool keeps of free handles and free objects cost what is free there, and nobody's object.
func TestDamagedFreeLists(t *testing.T) {
	r := newRand(t)
	for range 30 {
		o := small(Options{})
		a := newArena(t, o, 64<<20)
		p, err := New(a, 0, o)
		noErr(t, err)
		var live []object
		put := func(n int) {
			for range n {
				one := object{seed: r.Uint64(), size: 1 + r.IntN(1000)}
				data := make([]byte, one.size)
				fill(data, one.seed)
				one.h, err = p.Put(data, 7)
				noErr(t, err)
				live = append(live, one)
			}
		}
		put(2000)
		r.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
		for _, one := range live[:1000] {
			l := locationOf(p.handles.word(one.h).Load())
			noErr(t, p.Free(one.h))
			c := p.classes[l.class()]
			if z := p.zspageAt(c.lane, l.run()); r.IntN(20) == 0 && z.inuse > 0 && l.index() < int(z.fresh) {
				p.header(c, l.run(), l.index()).tag ^= 1 << r.IntN(32)
			}
			if w := p.handles.word(one.h); r.IntN(100) == 0 {
				w.Store(w.Load() ^ 1<<r.IntN(64))
			}
		}
		live = live[1000:]
		put(1000)
		for range 50 {
			p.Compact(1 << 16)
			put(40)
		}
		for _, one := range live {
			want := make([]byte, one.size)
			fill(want, one.seed)
			b, _, err := p.Pin(one.h)
			if err != nil {
				t.Fatalf("handle %d: %v", one.h, err)
			}
			if !bytes.Equal(b[:one.size], want) {
				t.Fatalf("the object of handle %d has changed", one.h)
			}
			p.Unpin(one.h)
		}
		noErr(t, p.Close())
		noErr(t, a.Close())
	}
}

// A free list of the right length that leads through the last object of a zspage: packing must not cut that off.
func TestFreeListThroughAnObject(t *testing.T) {
	o := small(Options{})
	a := newArena(t, o, 1<<20)
	p, err := New(a, 0, o)
	noErr(t, err)
	c := p.classes[p.slots[sizeSlot(1000)]]
	var all []object
	more := func(n int) {
		for range n { // the owners' tags look like the end of a free list
			one, err := put(p, uint64(len(all))<<32|noObject, 1000)
			noErr(t, err)
			all = append(all, one)
		}
	}
	more(c.objsPerZspage)
	last := c.objsPerZspage - 1
	for i := range last {
		noErr(t, p.Free(all[i].h))
		all[i].size = 0
	}
	p.header(c, locationOf(p.handles.word(all[last].h).Load()).run(), 1).tag = uint32(last) // was 0
	p.Compact(1 << 16)
	more(c.objsPerZspage)
	for _, one := range all {
		if one.size > 0 {
			noErr(t, one.verify(p))
		}
	}
	noErr(t, p.Close())
}
