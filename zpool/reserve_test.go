package zpool

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

// A pool with a reserve stores as much as one without, takes over a store that was made without, and hands it on.
func TestReserve(t *testing.T) {
	o := Options{Slots: 20_000, MaxBytes: 64 << 20}
	p, err := New(o)
	noErr(t, err)
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	w := p.NewWorker()
	for slot := range uint64(5000) {
		makePage(page, int(slot%pageKinds), slot)
		noErr(t, w.Store(slot, page))
	}
	noErr(t, p.zs.Close())
	o.ReserveBytes = 4 << 20
	p, _, err = openIn(p.a, o)
	noErr(t, err)
	defer checkAndClose(t, p)
	w = p.NewWorker()
	for slot := uint64(5000); slot < 15_000; {
		makePage(page, int(slot%pageKinds), slot)
		switch err := w.Store(slot, page); {
		case errors.Is(err, ErrNoMemory): // the reserve's thread cannot keep up with us
			time.Sleep(time.Millisecond)
		default:
			noErr(t, err)
			slot++
		}
	}
	for slot := range uint64(15_000) {
		makePage(page, int(slot%pageKinds), slot)
		noErr(t, w.Load(slot, got))
		if !bytes.Equal(got, page) {
			t.Fatalf("slot %d changed", slot)
		}
	}
}

// TestReserveWithinLimit: a store that is full is opened with a reserve; it takes no more than there may be.
func TestReserveWithinLimit(t *testing.T) {
	o := Options{Slots: 20_000, MaxBytes: 16 << 20}
	p, err := New(o)
	noErr(t, err)
	page, w := make([]byte, PageSize), p.NewWorker()
	for slot, err := uint64(0), error(nil); err == nil; slot++ {
		makePage(page, 3, slot)
		if err = w.Store(slot, page); err != nil && err != ErrFull {
			t.Fatal(err)
		}
	}
	was := p.a.Budget().Used()
	o.ReserveBytes = 4 << 20
	p, _, err = reopenIn(p, o)
	noErr(t, err)
	defer checkAndClose(t, p)
	if used := p.a.Budget().Used(); used > was+1<<20 { // tables
		t.Errorf("%d bytes in use before, %d after", was, used)
	}
	if limit := p.a.Budget().Limit(); limit != o.MaxBytes {
		t.Errorf("the limit is %d", limit)
	}
}

// A pool that nobody uses rests, although its reserve is memory that is ready and that nobody asks for.
func TestReserveIsNoWork(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1000, MaxBytes: 64 << 20, ReserveBytes: 4 << 20, Background: &Background{}})
	waitFor(t, "there is a reserve", func() bool { ready, _, _ := p.zs.Ready(); return ready > 0 })
	k := &p.tiers
	k.halt()
	k.turn() // it sees what was taken
	k.asked -= trimIdle
	for turns := 0; ; turns++ {
		if _, rests := k.turn(); rests {
			break
		}
		if turns == 20 {
			t.Fatalf("it does not rest; %d times it has trimmed", k.steps[actTrim].Load())
		}
	}
	if ready, _, _ := p.zs.Ready(); ready == 0 {
		t.Error("the reserve was trimmed away")
	}
}

// noMemory returns what makes the system have no memory, until the test ends.
func noMemory(t *testing.T) *atomic.Bool {
	none := new(atomic.Bool)
	t.Cleanup(arena.SetFault(func(op arena.Op, _, _ int64) error {
		if op == arena.OpCommit && none.Load() {
			return errors.New("no memory")
		}
		return nil
	}))
	return none
}

// A standby opens the store of another process, and stores what that one had in reserve, without a frame from the system.
func TestStandby(t *testing.T) {
	none := noMemory(t)
	o := Options{Slots: 20_000, MaxBytes: 64 << 20, ReserveBytes: 8 << 20}
	old, err := New(o)
	noErr(t, err)
	if old.File() == nil {
		noErr(t, old.Close())
		t.Skip("the store is in Go memory, as race builds have it: nobody else can open it")
	}
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	w := old.NewWorker()
	store := func(from, to uint64) (stored uint64) {
		for slot := from; slot < to; slot++ {
			makePage(page, int(slot%pageKinds), slot)
			if err := w.Store(slot, page); errors.Is(err, ErrNoMemory) {
				return slot
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return to
	}
	first := store(0, 3000)
	fd, err := unix.FcntlInt(old.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	s, err := Prepare(os.NewFile(uintptr(fd), "store"), o)
	noErr(t, err)
	store(first, first+500) // it is in use still
	noErr(t, s.Refresh())
	waitFor(t, "the reserve has room for 500 pages again", func() bool { // its thread may come late, on a busy machine
		end := store(5000, 5500)
		noErr(t, w.Invalidate(5000, 500))
		return end == 5500
	})
	noErr(t, old.Close())

	none.Store(true)
	p, rec, err := s.Open()
	noErr(t, err)
	defer checkAndClose(t, p)
	if rec.Pages < first || rec.Lost+rec.Unclaimed != 0 {
		t.Errorf("%+v of %d pages", rec, first)
	}
	w = p.NewWorker()
	end := store(10_000, 20_000)
	if end < 10_500 {
		t.Errorf("%d pages fit into a reserve of 8 MiB", end-10_000)
	}
	for slot := range uint64(20_000) {
		if slot < first || slot >= 10_000 && slot < end {
			makePage(page, int(slot%pageKinds), slot)
			noErr(t, w.Load(slot, got))
			if !bytes.Equal(got, page) {
				t.Fatalf("slot %d changed", slot)
			}
		}
	}
	none.Store(false)
}

// A standby that is not needed leaves the store as it is.
func TestStandbyCloses(t *testing.T) {
	p, err := New(Options{Slots: 1000, MaxBytes: 4 << 20})
	noErr(t, err)
	defer checkAndClose(t, p)
	if p.File() == nil {
		t.Skip("the store is in Go memory")
	}
	noErr(t, p.NewWorker().Store(7, bytes.Repeat([]byte("standby "), PageSize/8)))
	fd, err := unix.FcntlInt(p.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	s, err := Prepare(os.NewFile(uintptr(fd), "store"), Options{MaxBytes: 4 << 20})
	noErr(t, err)
	noErr(t, s.Refresh())
	noErr(t, s.Close())
}

// A page that is loaded from the backing file again and again stays in memory, unless the reserve has little left: that is for stores.
func TestLoadSparesTheReserve(t *testing.T) {
	none := noMemory(t)
	p, err := New(Options{Slots: 1 << 14, MaxBytes: 64 << 20, ReserveBytes: 2 << 20})
	noErr(t, err)
	defer checkAndClose(t, p)
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
	w, page, got := p.NewWorker(), make([]byte, PageSize), make([]byte, PageSize)
	const n = 100
	for slot := range uint64(n) {
		makePage(page, 3, slot)
		noErr(t, w.Store(slot, page))
	}
	p.Tick()
	_, _, err = p.WriteBack(1, 1, 8<<20)
	noErr(t, err)
	p.writeback.hotAge.Store(200) // as writing because the pool is all but full sets it
	load := func() {
		t.Helper()
		for slot := range uint64(n) {
			noErr(t, w.Load(slot, got))
			if makePage(page, 3, slot); !bytes.Equal(got, page) {
				t.Fatalf("slot %d changed", slot)
			}
		}
	}
	none.Store(true)
	stored := uint64(n) // until nothing is left
	for err == nil {
		makePage(page, 3, stored)
		err = w.Store(stored, page)
		stored++
	}
	if !errors.Is(err, ErrNoMemory) {
		t.Fatal(err)
	}
	for slot := uint64(n); slot < stored; slot += 25 { // objects are free, in zspages that are in use
		noErr(t, w.Invalidate(slot, 1))
	}
	load()
	if s := p.Stats(); s.WrittenPages != n || s.Promoted != 0 {
		t.Errorf("%d pages in the file, %d promoted, while there is no memory", s.WrittenPages, s.Promoted)
	}
	none.Store(false)
	waitFor(t, "all are in memory again", func() bool { load(); return p.Stats().WrittenPages == 0 })
	if s := p.Stats(); s.Promoted != n {
		t.Errorf("%d promoted", s.Promoted)
	}
}

// All that is in the backing file comes back through a reserve that is much smaller: that waits for more.
func TestBackingComesBackThroughTheReserve(t *testing.T) {
	p, err := New(Options{Slots: 1 << 14, MaxBytes: 64 << 20, ReserveBytes: 1 << 20})
	noErr(t, err)
	defer checkAndClose(t, p)
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: 32 << 20}))
	w, page, got := p.NewWorker(), make([]byte, PageSize), make([]byte, PageSize)
	const n = 4000
	for slot := range uint64(n) {
		makePage(page, 3, slot)
		err := w.Store(slot, page)
		for ; err == ErrNoMemory; err = w.Store(slot, page) { // the reserve is late, on a busy machine
			time.Sleep(time.Millisecond)
		}
		noErr(t, err)
	}
	p.Tick()
	_, _, err = p.WriteBack(1, 1, 64<<20)
	noErr(t, err)
	if written := p.Stats().WrittenPages; written < n/2 {
		t.Fatalf("%d pages were written", written)
	}
	noErr(t, p.RemoveBacking(false))
	for slot := range uint64(n) {
		noErr(t, w.Load(slot, got))
		if makePage(page, 3, slot); !bytes.Equal(got, page) {
			t.Fatalf("slot %d changed", slot)
		}
	}
}
