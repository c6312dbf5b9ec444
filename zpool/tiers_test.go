package zpool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// A pool that is full of pages that could be smaller refuses at once, and soon takes pages again, although nobody has taken
// any away.
func TestFullPoolMakesRoom(t *testing.T) {
	var warned [2]atomic.Int64
	p := newTestPool(t, Options{MaxBytes: 4 << 20, Compressor: "lz4", IdleAfter: time.Hour, Background: &Background{
		Warn: func(percent int, _ int64) { warned[percent/95].Add(1) },
	}})
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	stored := uint64(0)
	fill := func() {
		for ; ; stored++ {
			makeColdPage(page, stored)
			if err := w.Store(stored, page); err == ErrFull {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	first := stored
	for range 3 {
		waitFor(t, "the pool takes pages again", func() bool { return p.admit() })
		fill()
	}
	s := p.Stats()
	t.Logf("%d pages when it was full, then %d; %+v", first, stored, s.Recompressed)
	if stored < first*11/10 || s.MemoryBytes > 4<<20 || s.PeakMemoryBytes > 4<<20 {
		t.Errorf("%d pages when it was full, then %d; %d bytes, peak %d", first, stored, s.MemoryBytes, s.PeakMemoryBytes)
	}
	waitFor(t, "each level is told as often as it is counted", func() bool { // by a goroutine of its own, so a little later
		n80, n95, s := warned[0].Load(), warned[1].Load(), p.Stats()
		return n80 > 0 && n95 > 0 && s.Warnings80 == uint64(n80) && s.Warnings95 == uint64(n95)
	})
	for slot := range stored {
		makeColdPage(page, slot)
		if noErr(t, w.Load(slot, got)); !bytes.Equal(page, got) {
			t.Fatalf("slot %d changed", slot)
		}
	}
}

// Workers on few slots, while everything goes on in the background at its hardest, and settings change: a load sees a page
// that was stored whole.
func TestBackgroundWhileUsed(t *testing.T) {
	const slots = 64
	p := newTestPool(t, Options{Slots: slots, MaxBytes: MinBytes, IdleAfter: time.Nanosecond, Background: &Background{
		Pressure: func() float64 { return rand.Float64() * 2 },
	}})
	var stop atomic.Bool
	var background, users sync.WaitGroup
	background.Go(func() {
		for i := 0; !stop.Load(); i++ {
			s := p.Settings()
			s.RecompressCodec, s.ClusterSize = []string{"s2", "zstd", "none", "lz4hc"}[i%4], PageSize<<(i%5)
			if err := p.Set(s); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	r := newRand(t)
	for range 4 {
		r, w := rand.New(rand.NewPCG(r.Uint64(), 2)), p.NewWorker()
		users.Go(func() {
			page := make([]byte, PageSize)
			for range 3000 {
				slot := r.Uint64N(slots)
				switch r.IntN(20) {
				case 0, 1:
					stamp(page, slot, r.Uint64())
					if err := w.Store(slot, page); err != nil && err != ErrFull {
						t.Error(err)
					}
				case 2:
					if err := w.Invalidate(slot, 1); err != nil {
						t.Error(err)
					}
				case 3:
					time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
				default:
					if err := errors.Join(w.Load(slot, page), checkStamp(page, slot)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	users.Wait()
	stop.Store(true)
	background.Wait()
	s := p.Stats()
	t.Logf("%d generations, %+v, %d promoted", s.Ticks, s.Recompressed, s.Promoted)
	if s.Ticks == 0 || s.Recompressed.Pages == 0 {
		t.Error("nothing happened in the background")
	}
}

// Whatever the codec and the size of clusters were when a page was packed, it can be read under any other, and after the
// process. (Replacing the codec under live objects is what once corrupted zswap.)
func TestSettingsChangeOverLiveObjects(t *testing.T) {
	p, err := New(Options{Slots: 4096, MaxBytes: 16 << 20, Compressor: "lz4"})
	noErr(t, err)
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	n := uint64(0)
	verify := func() {
		t.Helper()
		noErr(t, p.Check())
		for slot := range n {
			makeColdPage(page, slot)
			if noErr(t, w.Load(slot, got)); !bytes.Equal(page, got) {
				t.Fatalf("slot %d changed", slot)
			}
		}
	}
	for _, codec := range []string{"zstd", "lz4hc", "s2", "none", "minlz:2", "zstd:3", "lz4"} {
		for _, pages := range []int{4, 1, 16} {
			s := p.Settings()
			s.RecompressCodec, s.ClusterSize = codec, pages*PageSize
			noErr(t, p.Set(s))
			for range 64 {
				makeColdPage(page, n)
				noErr(t, w.Store(n, page))
				n++
			}
			packAll(t, p)
			verify()
		}
	}
	if p, _, err = reopenIn(p, Options{MaxBytes: 16 << 20, RecompressCodec: "none"}); err != nil {
		t.Fatal(err)
	}
	w = p.NewWorker()
	verify()
	checkAndClose(t, p)
}

// What one codec gains nothing on is tried again when there is another, and only then.
func TestAnotherCodecTriesAgain(t *testing.T) {
	p := newTestPool(t, Options{Slots: 64, Compressor: "zstd", RecompressCodec: "lz4", ClusterSize: PageSize})
	w := p.NewWorker()
	page := make([]byte, PageSize)
	for slot := range uint64(32) {
		makeColdPage(page, slot)
		noErr(t, w.Store(slot, page))
	}
	if did := packAll(t, p); did.Pages > 2 || did.Kept < 30 {
		t.Fatalf("lz4 after zstd: %+v", did)
	}
	if did := packAll(t, p); did.Kept != 0 {
		t.Errorf("tried again: %+v", did)
	}
	s := p.Settings()
	s.RecompressCodec, s.ClusterSize = "zstd", 4*PageSize
	noErr(t, p.Set(s))
	if did := packAll(t, p); did.Pages < 30 {
		t.Errorf("zstd, and clusters: %+v", did)
	}
}

func TestSettingsSayAllThatIsWrong(t *testing.T) {
	p := newTestPool(t, Options{})
	good := p.Settings()
	for what, change := range map[string]func(s *Settings){
		"limit":        func(s *Settings) { s.MaxBytes = 1 },
		"ceiling":      func(s *Settings) { s.MaxBytes = 1 << 40 },
		"threshold":    func(s *Settings) { s.AcceptThresholdPercent = 101 },
		"idle":         func(s *Settings) { s.IdleAfter = -1 },
		"codec":        func(s *Settings) { s.RecompressCodec = "lzma" },
		"cluster":      func(s *Settings) { s.ClusterSize = 3 * PageSize },
		"cluster size": func(s *Settings) { s.ClusterSize = 32 * PageSize },
		"waste":        func(s *Settings) { s.MinWastePercent = 0 },
	} {
		s := good
		change(&s)
		if err := p.Set(s); err == nil {
			t.Errorf("%s: %+v was taken", what, s)
		}
		if now := p.Settings(); now != good {
			t.Errorf("%s: refused, and changed to %+v", what, now)
		}
	}
	s := good
	s.MaxBytes, s.AcceptThresholdPercent, s.IdleAfter = 2<<20, 50, time.Minute
	if noErr(t, p.Set(s)); p.Settings() != s {
		t.Errorf("set %+v, are %+v", s, p.Settings())
	}
}

// A step ends in time although there is no memory for what it makes: whoever writes back must get its turn, to make some.
func TestPackingWithoutMemoryKeepsToItsBudget(t *testing.T) {
	p := newTestPool(t, Options{Compressor: "lz4", RecompressCodec: "s2", CeilingBytes: 1 << 30})
	w, page := p.NewWorker(), make([]byte, PageSize)
	for slot := range uint64(4096) {
		makeColdPage(page, slot)
		noErr(t, w.Store(slot, page))
	}
	p.Trim()
	p.Tick()
	noErr(t, p.SetMaxBytes(MinBytes))
	did, more, err := p.Recompress(0, 64)
	noErr(t, err)
	if next := p.tiers.sweep.next; !more || did.Failed == 0 || next > 64+windowSlots {
		t.Errorf("%+v, more: %t; slots up to %d were worked on", did, more, next)
	}
}

// What a sweep takes is known without a codec, too: writeback wants the ages, and generations must not come so fast that
// looking takes more than its share.
func TestSweepsAreTimedWithoutACodec(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1 << 18, RecompressCodec: "none"})
	noErr(t, p.slots.commitAll())
	if _, more, err := p.Recompress(0, 1); more || err != nil || p.tiers.sweepTime <= 0 {
		t.Errorf("a sweep took %v; more: %t, %v", p.tiers.sweepTime, more, err)
	}
}

func TestNoAllocationsOnThePathOfAColdPage(t *testing.T) {
	p := newTestPool(t, Options{})
	if p.File() == nil {
		t.Skip("in Go memory, as race builds have it: there sync.Pool, which zstd uses, forgets at random")
	}
	w := p.NewWorker()
	fillCold(t, p, w, 4096)
	page := make([]byte, PageSize)
	slot := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		slot = (slot + 5) % 4096
		if w.Load(slot, page) != nil {
			t.Fatal("failed")
		}
	}); n != 0 {
		t.Errorf("%v allocations to load a cold page", n)
	}
	if p.Stats().ColdLoadTime.Count < 500 {
		t.Error("those were not cold")
	}
	p.tiers.hotAge.Store(1)
	if n := testing.AllocsPerRun(1000, func() {
		slot = (slot + 5) % 4096
		if errors.Join(w.Load(slot, page), w.Load(slot, page)) != nil {
			t.Fatal("failed")
		}
	}); n != 0 {
		t.Errorf("%v allocations to make a page hot", n)
	}
	if n := testing.AllocsPerRun(200, func() {
		p.Tick()
		if _, _, err := p.Recompress(0, 20); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations to pack pages", n)
	}
}

// BenchmarkSweep looks at 16 Mi slots, all of them taken by pages that are not idle, or packed: what a generation costs.
func BenchmarkSweep(b *testing.B) {
	const slots = 16 << 20
	for _, kind := range []string{"hot", "cold", "empty"} {
		b.Run(kind, func(b *testing.B) {
			p, err := New(Options{Slots: slots, MaxBytes: 1 << 30})
			noErr(b, err)
			defer p.Close()
			noErr(b, p.slots.commitAll())
			g := p.clock.generation()
			for slot := range uint64(slots) {
				w := objectWord(1, 3, 1000).at(g)
				switch kind {
				case "cold":
					w = memberWord(1, 3000, 4).at(g - 100)
				case "empty":
					w = 0
				}
				p.slots.word(slot).Store(uint64(w))
			}
			b.ResetTimer()
			for b.Loop() {
				for !p.tiers.sweep.run(sweepSlots, 10, func(uint64) bool { return true }) {
				}
			}
		})
	}
}
