package zsmalloc

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zswapd/zswapd/internal/arena"
)

// TestModel does random operations on a pool with random options and on a map, and compares. A failure is made as small
// as can be, and says how to repeat it; -rapid.checks is how many pools are tried, -rapid.steps how long each is used.
func TestModel(t *testing.T) {
	var seen seen
	for _, chain := range []int{1, 2, 3, 4, 5, 8, 11, 16} {
		t.Run(fmt.Sprintf("chain=%d", chain), rapid.MakeCheck(func(t *rapid.T) {
			m := newModel(t, chain, &seen)
			t.Repeat(map[string]func(*rapid.T){
				"":                m.invariants,
				"malloc":          m.malloc,
				"malloc many":     m.mallocMany,
				"free":            m.free,
				"churn":           m.churn,
				"pin":             m.pin,
				"write":           m.write,
				"unpin":           m.unpin,
				"compact":         m.compact,
				"compact all":     m.compactAll,
				"limit":           m.setLimit,
				"reopen":          m.reopen,
				"check":           m.check,
				"use what is not": m.useDead,
			})
			m.end(t)
		}))
	}
	t.Logf("%+v", seen)
	if seen.Pools >= 800 && (seen.NoSpace == 0 || seen.NoHandle == 0 || seen.Moved == 0 || seen.Skipped == 0 || seen.Reopened == 0) {
		t.Error("something never happened: the test did not test")
	}
}

// seen counts what happened in all pools of a test.
type seen struct{ Pools, Objects, NoSpace, NoHandle, Moved, Skipped, Reopened int }

// model is a pool and what it must hold.
type model struct {
	p    *Pool
	o    Options
	seen *seen

	objects map[Handle]*modelObject
	next    uint64   // seed of the next object
	dead    []Handle // freed; a handle in use again is not among them
	most    int64    // bytes that the pool may take: its limit, or what it had when the limit was lowered
}

type modelObject struct {
	bytes  []byte // as many as were asked for
	tag    uint32
	pinned []byte // where the bytes are, while it is pinned
}

func newModel(t *rapid.T, chain int, seen *seen) *model {
	m := &model{seen: seen, objects: map[Handle]*modelObject{}}
	m.o = Options{
		Handles:   rapid.SampledFrom([]int64{3, 510, 1 << 12, 1 << 12}).Draw(t, "handles"),
		MaxFrames: rapid.SampledFrom([]int64{3, 500, 1 << 10, 1 << 10}).Draw(t, "frames"),
		ChainSize: chain,
	}
	m.most = 1 << 20
	a, err := arena.New("zsmalloc-test", m.o.Layout(), arena.NewBudget(m.most))
	noErr(t, err)
	m.p, err = New(a, 0, m.o)
	noErr(t, err)
	m.seen.Pools++
	t.Cleanup(func() { _ = errors.Join(m.p.private.Close(), m.p.a.Close()) })
	return m
}

// size draws small ones, large ones, and some of classes whose zspages are of several frames.
func size() *rapid.Generator[int] {
	large := rapid.Map(rapid.IntRange(0, MaxSize-1), func(n int) int { return MaxSize - n })
	return rapid.OneOf(rapid.IntRange(1, MaxSize), large, rapid.SampledFrom([]int{24, 25, 800, 1620, 2700, 3256, 3500}))
}

func (m *model) malloc(t *rapid.T) {
	m.mallocOne(t, size().Draw(t, "size"), rapid.Bool().Draw(t, "put"))
}

// mallocMany allocates objects of one size, or of many.
func (m *model) mallocMany(t *rapid.T) {
	n := rapid.SampledFrom([]int{5, 10, 30, 200, 200}).Draw(t, "n")
	sizes := rapid.SliceOfN(size(), 1, 3).Draw(t, "sizes")
	for i := range n {
		if !m.mallocOne(t, sizes[i%len(sizes)], i%2 == 0) {
			return
		}
	}
}

// mallocOne allocates an object, by Put or by Malloc and a write, and sees to it that a refusal has its reason.
func (m *model) mallocOne(t *rapid.T, size int, put bool) (ok bool) {
	m.next++
	o := &modelObject{bytes: make([]byte, size), tag: uint32(m.next * 0x9e3779b1)}
	fill(o.bytes, m.next*0x9e3779b97f4a7c15)
	inUse := m.p.InUse()
	var h Handle
	var err error
	if put {
		h, err = m.p.Put(o.bytes, o.tag)
	} else {
		h, err = m.p.Malloc(size, o.tag)
	}
	switch {
	case errors.Is(err, ErrNoHandle):
		m.seen.NoHandle++
		if len(m.objects) < int(m.o.Handles) {
			t.Fatalf("no handle after %d of %d", len(m.objects), m.o.Handles)
		}
		return false
	case errors.Is(err, ErrNoSpace) && errors.Is(err, arena.ErrLimit):
		m.seen.NoSpace++
		// An object takes at most two frames: tables of handles, descriptors and headers may need one more each.
		if room := m.p.a.Budget().Limit() - inUse; room >= 5*frameSize {
			t.Fatalf("refused with %d bytes left: %v", room, err)
		}
		return false
	case errors.Is(err, ErrNoSpace):
		m.seen.NoSpace++
		if frames := m.p.Stats().Frames; int64(frames) < m.o.MaxFrames {
			t.Fatalf("no run after %d of %d frames", frames, m.o.MaxFrames)
		}
		return false
	}
	noErr(t, err)
	if m.objects[h] != nil || h == 0 || int64(h) > m.o.Handles {
		t.Fatalf("handle %d is somebody else's, or none", h)
	}
	m.objects[h] = o
	m.dead = slices.DeleteFunc(m.dead, func(dead Handle) bool { return dead == h })
	m.seen.Objects++
	if !put {
		b, _, err := m.p.Pin(h)
		noErr(t, err)
		copy(b, o.bytes)
		m.p.Unpin(h)
	}
	m.verify(t, h)
	return true
}

// draw draws an object, pinned or not.
func (m *model) draw(t *rapid.T, pinned bool) (Handle, *modelObject) {
	var all []Handle
	for h, o := range m.objects {
		if (o.pinned != nil) == pinned {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		t.Skip("no such object")
	}
	slices.Sort(all)
	h := all[rapid.IntRange(0, len(all)-1).Draw(t, "object")]
	return h, m.objects[h]
}

// verify pins an object and compares.
func (m *model) verify(t *rapid.T, h Handle) {
	t.Helper()
	o := m.objects[h]
	b, tag := o.pinned, o.tag
	if b == nil {
		var err error
		b, tag, err = m.p.Pin(h)
		noErr(t, err)
		defer m.p.Unpin(h)
	}
	if len(b) < len(o.bytes) || !bytes.Equal(b[:len(o.bytes)], o.bytes) || tag != o.tag {
		t.Fatalf("object %d of %d bytes changed", h, len(o.bytes))
	}
}

func (m *model) free(t *rapid.T) {
	h, _ := m.draw(t, false)
	m.freeOne(t, h)
}

func (m *model) freeOne(t *rapid.T, h Handle) {
	m.verify(t, h)
	noErr(t, m.p.Free(h))
	delete(m.objects, h)
	m.dead = append(m.dead, h)
}

// thinOut frees some of every seven objects, which leaves holes all over the pool.
func (m *model) thinOut(t *rapid.T) {
	gone := rapid.SliceOfN(rapid.Bool(), 7, 7).Draw(t, "gone")
	for i, h := range slices.Sorted(maps.Keys(m.objects)) {
		if gone[i%7] && m.objects[h].pinned == nil {
			m.freeOne(t, h)
		}
	}
}

// churn leaves zspages of one class or a few with holes.
func (m *model) churn(t *rapid.T) {
	m.mallocMany(t)
	m.thinOut(t)
}

// pin pins an object, and some of those after it.
func (m *model) pin(t *rapid.T) {
	first, _ := m.draw(t, false)
	for h := first; h < first+5; h++ {
		if o := m.objects[h]; o != nil && o.pinned == nil {
			m.verify(t, h)
			b, _, err := m.p.Pin(h)
			noErr(t, err)
			o.pinned = b
		}
	}
}

// write changes the bytes of a pinned object.
func (m *model) write(t *rapid.T) {
	_, o := m.draw(t, true)
	m.next++
	fill(o.bytes, m.next)
	copy(o.pinned, o.bytes)
}

func (m *model) unpin(t *rapid.T) {
	h, o := m.draw(t, true)
	m.verify(t, h)
	m.p.Unpin(h)
	o.pinned = nil
}

func (m *model) unpinAll(t *rapid.T) {
	for h, o := range m.objects {
		if o.pinned != nil {
			m.verify(t, h)
			m.p.Unpin(h)
			o.pinned = nil
		}
	}
}

func (m *model) compact(t *rapid.T) {
	budget := rapid.IntRange(1, 100_000).Draw(t, "budget")
	m.compactOnce(t, budget)
}

func (m *model) compactOnce(t *rapid.T, budget int) (more bool) {
	inUse, frames := m.p.InUse(), m.p.Stats().Frames
	r, more := m.p.Compact(budget)
	m.seen.Moved += r.Objects
	m.seen.Skipped += r.Skipped
	now := m.p.Stats().Frames
	switch {
	case r.Bytes >= budget+frameSize, r.Frames < frames-now, (r.Objects == 0) != (r.Bytes == 0):
		t.Fatalf("%+v with a budget of %d; %d frames before, %d after", r, budget, frames, now)
	case r.Skipped == 0 && m.p.InUse() > inUse+MaxChain*frameSize: // one zspage that was not filled up yet
		t.Fatalf("%+v: %d bytes in use before, %d after", r, inUse, m.p.InUse())
	}
	return more
}

// compactAll compacts until there is no more to do, which comes soon.
func (m *model) compactAll(t *rapid.T) {
	for steps := 0; m.compactOnce(t, 1<<30); {
		if steps++; steps > len(m.objects) {
			t.Fatal("compaction goes on and on")
		}
	}
}

// setLimit leaves room for so many frames more than are in use, or takes away what is there too much.
func (m *model) setLimit(t *rapid.T) {
	frames := rapid.SampledFrom([]int64{-20, 0, 1, 2, 3, 5, 20, 100, 300}).Draw(t, "frames")
	b := m.p.a.Budget()
	b.SetLimit(max(0, b.Used()+frames*frameSize))
	m.most = max(b.Limit(), b.Used())
}

// reopen opens what a dead process leaves: pins, and objects that nobody wants.
func (m *model) reopen(t *rapid.T) {
	m.seen.Reopened++
	b := m.p.a.Budget()
	used, limit := b.Used(), b.Limit()
	noErr(t, m.p.private.Close())
	b.SetLimit(1 << 40)
	r, err := Open(m.p.a, 0, m.o)
	noErr(t, err)
	forget := rapid.IntRange(2, 10).Draw(t, "forget") // every so-manieth
	for i, h := range slices.Sorted(maps.Keys(m.objects)) {
		if i%forget == 1 {
			delete(m.objects, h)
			m.dead = append(m.dead, h)
			continue
		}
		noErr(t, r.Adopt(h, len(m.objects[h].bytes)))
		m.objects[h].pinned = nil
	}
	p, err := r.Finish()
	noErr(t, err)
	m.p = p
	b.SetLimit(limit)
	if b.Used() > used {
		t.Fatalf("%d bytes before, %d after", used, b.Used())
	}
}

func (m *model) check(t *rapid.T) {
	m.unpinAll(t)
	noErr(t, m.p.Check())
}

// useDead uses handles that name nothing.
func (m *model) useDead(t *rapid.T) {
	for _, h := range append(m.dead, 0, Handle(m.o.Handles)+1, 1<<32-1) {
		_, _, err := m.p.Pin(h)
		if err2 := m.p.Free(h); !errors.Is(err, ErrBadHandle) || !errors.Is(err2, ErrBadHandle) {
			t.Fatalf("handle %d: %v, %v", h, err, err2)
		}
	}
}

// invariants hold between any two operations.
func (m *model) invariants(t *rapid.T) {
	if n := m.p.Stats().Objects; n != len(m.objects) {
		t.Fatalf("%d objects, the model has %d", n, len(m.objects))
	}
	for h, o := range m.objects {
		if o.pinned != nil {
			m.verify(t, h)
		}
	}
	b := m.p.a.Budget()
	if b.Used() > m.most {
		t.Fatalf("%d bytes taken, allowed are %d", b.Used(), m.most)
	}
	m.most = max(b.Limit(), b.Used()) // what was given back above a lowered limit is not taken again
}

// end looks at every object, walks the pool, empties it, and closes it: nothing is left.
func (m *model) end(t *rapid.T) {
	m.check(t)
	for h := range m.objects {
		m.freeOne(t, h)
	}
	noErr(t, m.p.Check())
	if s := m.p.Stats(); s.Frames != 0 || s.Objects != 0 {
		t.Fatalf("an empty pool has %d objects in %d frames", s.Objects, s.Frames)
	}
}
