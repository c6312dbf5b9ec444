package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/corpus"
)

// broken is a pool of which something does not work as it should. It counts what is open.
type broken struct {
	poolSide
	openNow  *atomic.Int32
	failOpen int32 // the store that cannot be opened, from 1 on
	opened   *atomic.Int32
	flip     int  // the page that comes back with a flipped bit; -1: none
	fail     op   // the op that fails; ops: none
	lazy     bool // loads do nothing
	panics   bool // when a page is stored
}

var errBroken = errors.New("broken on purpose")

func newBroken() broken {
	return broken{poolSide: poolSide{codec: "minlz"}, openNow: new(atomic.Int32), opened: new(atomic.Int32), flip: -1, fail: ops}
}

func (s broken) open(pages int64, threads int) (box, error) {
	if s.opened.Add(1) == s.failOpen {
		return nil, errBroken
	}
	b, err := s.poolSide.open(pages, threads)
	s.openNow.Add(1)
	return brokenBox{b, s}, err
}

type brokenBox struct {
	box
	s broken
}

func (b brokenBox) user(thread int) user { return brokenUser{b.box.user(thread), b.s} }

func (b brokenBox) close() error {
	b.s.openNow.Add(-1)
	return b.box.close()
}

type brokenUser struct {
	user
	s broken
}

func (u brokenUser) store(first int, pages []byte) error {
	if u.s.panics {
		panic(errBroken)
	}
	if u.s.fail == store {
		return errBroken
	}
	return u.user.store(first, pages)
}

func (u brokenUser) load(first int, pages []byte) error {
	if u.s.fail == load {
		return errBroken
	}
	if u.s.lazy {
		return nil
	}
	err := u.user.load(first, pages)
	if first == u.s.flip {
		pages[corpus.PageSize-1] ^= 1
	}
	return err
}

func testPages(t *testing.T, n int64) []byte {
	all, err := corpus.Find([]string{"gen:typical"}, n)
	must(t, err)
	pages := make([]byte, n*corpus.PageSize)
	must(t, all[0].Read(pages))
	return pages
}

func testGroup(t *testing.T, pages []byte, threads int, sides ...side) *group {
	g, err := newGroup(sides, pages, threads, 1, make([]byte, threads*blockPages*corpus.PageSize))
	must(t, err)
	t.Cleanup(g.close)
	return g
}

// Every page is some thread's, once, whatever the numbers are.
func TestParts(t *testing.T) {
	for _, n := range []int64{1, 511, 512, 513, 2000} {
		pages := testPages(t, n)
		for threads := 1; threads <= min(5, int(n)); threads++ {
			g := testGroup(t, pages, threads, newBroken())
			var got []byte
			for i := range g.parts {
				for block := range g.blocks {
					got = append(got, g.parts[i].in(pages, block)...)
				}
			}
			if !bytes.Equal(got, pages) {
				t.Errorf("%d pages, %d threads: the parts are not the whole", n, threads)
			}
			must(t, g.round(t.Context(), inBlocks, true))
			sum := 0
			for _, n := range g.times[0][inBlocks][load].pages {
				sum += n
			}
			if sum != int(n) || g.used[0].pages != n {
				t.Errorf("%d pages, %d threads: %d were timed, %d stored", n, threads, sum, g.used[0].pages)
			}
		}
	}
}

// A page that comes back different is found, wherever it is, and however pages are timed.
func TestWrongPageIsFound(t *testing.T) {
	pages := testPages(t, 1100)
	for _, flip := range []int{0, 549, 550, 1099} {
		for how := range 2 {
			s := newBroken()
			s.flip = flip
			g := testGroup(t, pages, 2, newBroken(), s)
			if err := g.round(t.Context(), how, true); err == nil || !strings.Contains(err.Error(), "came back different") {
				t.Errorf("page %d, how %d: %v", flip, how, err)
			}
			if s.openNow.Load() != 0 {
				t.Errorf("%d stores are still open", s.openNow.Load())
			}
		}
	}
}

// What an earlier side loaded is not taken for what the next one did.
func TestMissingLoadIsFound(t *testing.T) {
	s := newBroken()
	s.lazy = true
	g := testGroup(t, testPages(t, 500), 1, newBroken(), s)
	for range 2 { // with either side first
		if err := g.round(t.Context(), inBlocks, true); err == nil || !strings.Contains(err.Error(), "came back different") {
			t.Error(err)
		}
	}
}

// Whatever fails, what was opened is closed, and the error says who it was.
func TestFailuresCloseAll(t *testing.T) {
	pages := testPages(t, 600)
	first := newBroken()
	check := func(what string, s broken, err error) {
		t.Helper()
		if !errors.Is(err, errBroken) || first.openNow.Load() != 0 || s.openNow.Load() != 0 {
			t.Errorf("%s: %v; %d and %d stores are still open", what, err, first.openNow.Load(), s.openNow.Load())
		}
	}
	for op := range load + 1 {
		s := newBroken()
		s.fail = op
		check(opNames[op], s, testGroup(t, pages, 1, first, s).round(t.Context(), inBlocks, true))
	}
	s := newBroken()
	s.failOpen = 1
	check("open", s, testGroup(t, pages, 1, first, s).round(t.Context(), inBlocks, true))
	s = newBroken()
	s.fail = store
	_, err := statesOf(t.Context(), s, pages)
	check("states", s, err)
}

// A panic on a thread of the crew is one here, after everything was closed.
func TestPanicClosesAll(t *testing.T) {
	s := newBroken()
	s.panics = true
	g := testGroup(t, testPages(t, 600), 2, newBroken(), s)
	defer func() {
		if v := recover(); v == nil || !strings.Contains(v.(string), errBroken.Error()) || s.openNow.Load() != 0 {
			t.Errorf("%v, %d stores are still open", v, s.openNow.Load())
		}
	}()
	t.Error(g.round(t.Context(), inBlocks, true))
}

func TestContextEndsRound(t *testing.T) {
	s := newBroken()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBroken)
	if err := testGroup(t, testPages(t, 600), 1, s).round(ctx, inBlocks, true); !errors.Is(err, errBroken) || s.openNow.Load() != 0 {
		t.Errorf("%v, %d stores are still open", err, s.openNow.Load())
	}
	if _, err := statesOf(ctx, s, testPages(t, 600)); !errors.Is(err, errBroken) || s.openNow.Load() != 0 {
		t.Errorf("states: %v, %d stores are still open", err, s.openNow.Load())
	}
}

// Each thread is on one CPU, and they take turns with the CPUs.
func TestCrewIsPinned(t *testing.T) {
	var mine unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &mine))
	cpus := list(&mine)
	n := 2*len(cpus) + 1
	c, err := newCrew(n)
	must(t, err)
	defer c.stop()
	got := make([]unix.CPUSet, n)
	c.each(func(i int) { _ = unix.SchedGetaffinity(0, &got[i]) })
	for i := range got {
		if got[i].Count() != 1 || !got[i].IsSet(cpus[i%len(cpus)]) {
			t.Errorf("thread %d of %d is on %v", i, n, list(&got[i]))
		}
	}
}
