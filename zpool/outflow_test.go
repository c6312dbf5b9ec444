package zpool

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/backing"
)

// TestDecideOutflow is the policy of writeback as a table.
func TestDecideOutflow(t *testing.T) {
	old := Ages{0: 1000, 1: 500, 10: 200, 100: 50, veryOld: 10}
	base := func(change func(v *outflow)) outflow {
		v := outflow{used: 50 << 20, limit: 100 << 20, ages: old, object: 4096, idle: 10}
		change(&v)
		return v
	}
	for name, c := range map[string]struct {
		v    outflow
		want outPlan
	}{
		"half full":        {base(func(v *outflow) {}), outPlan{act: outRest, rest: restFar}},
		"nearly full":      {base(func(v *outflow) { v.used = 85 << 20 }), outPlan{act: outRest, rest: restNear}},
		"raw pages":        {base(func(v *outflow) { v.used, v.raws = 85<<20, true }), outPlan{act: outWrite, idle: never, raw: 10, bytes: mostWrite, share: calmOutShare}},
		"raw, but room":    {base(func(v *outflow) { v.raws = true }), outPlan{act: outRest, rest: restFar}},
		"above the flow":   {base(func(v *outflow) { v.used = 91 << 20 }), outPlan{act: outWrite, idle: 1, raw: 1, bytes: 6 << 20, share: 100}},
		"the oldest do":    {base(func(v *outflow) { v.used, v.object = 90<<20, 600<<10 }), outPlan{act: outWrite, idle: veryOld, raw: 10, bytes: 5 << 20, share: 100}},
		"the older do":     {base(func(v *outflow) { v.used, v.object = 90<<20, 100<<10 }), outPlan{act: outWrite, idle: 100, raw: 10, bytes: 5 << 20, share: 100}},
		"found too little": {base(func(v *outflow) { v.used, v.object, v.short = 90<<20, 100<<10, 2 }), outPlan{act: outWrite, idle: 25, raw: 10, bytes: 5 << 20, share: 100}},
		"between, coming":  {base(func(v *outflow) { v.used = 87 << 20 }), outPlan{act: outRest, rest: restNear}},
		"between, flowing": {base(func(v *outflow) { v.used, v.flowing = 87<<20, true }), outPlan{act: outWrite, idle: 1, raw: 1, bytes: 2 << 20, share: 100}},
		"down":             {base(func(v *outflow) { v.used, v.flowing = 85<<20, true }), outPlan{act: outRest, rest: restNear}},
		"refused":          {base(func(v *outflow) { v.refused = true }), outPlan{act: outWrite, idle: 10, raw: 10, bytes: leastWrite, share: 100}},
		"nothing is idle":  {base(func(v *outflow) { v.used, v.ages, v.short, v.tickable = 95<<20, Ages{}, 1, true }), outPlan{act: outTick, share: 100}},
		"tried in vain":    {base(func(v *outflow) { v.used, v.vain = 95<<20, true }), outPlan{act: outRest, rest: restNear}},
		"nor is the clock": {base(func(v *outflow) { v.used, v.ages, v.short = 95<<20, Ages{}, 1 }), outPlan{act: outWrite, idle: 1, raw: 1, bytes: mostWrite, share: 100}},
		"pressure":         {base(func(v *outflow) { v.pressure = 2 }), outPlan{act: outWrite, idle: 10, raw: 10, bytes: mostWrite, share: calmOutShare}},
		"pressure, done":   {base(func(v *outflow) { v.pressure, v.short = 2, 1 }), outPlan{act: outRest, rest: restFar}},
		"old enough":       {base(func(v *outflow) { v.after = 50 }), outPlan{act: outRest, rest: restFar}},
		"enough, and old":  {base(func(v *outflow) { v.after = 5 }), outPlan{act: outWrite, idle: 5, raw: 5, bytes: mostWrite, share: calmOutShare}},
		"no extents":       {base(func(v *outflow) { v.scarce = true }), outPlan{act: outClean, share: calmOutShare}},
		"none, and full":   {base(func(v *outflow) { v.scarce, v.used = true, 96<<20 }), outPlan{act: outClean, share: 100}},
		"none to be had":   {base(func(v *outflow) { v.scarce, v.uncleanable = true, true }), outPlan{act: outRest, rest: restFar}},
		"extents to spare": {base(func(v *outflow) { v.spare = true }), outPlan{act: outSweep, share: calmOutShare}},
	} {
		if got := decideOutflow(&c.v); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// What cannot be written is looked for less and less often, until something was.
func TestLooksInVain(t *testing.T) {
	l := &loop{}
	l.rest(false, time.Second)
	if l.againAt != 0 {
		t.Error("pages that were touched in this generation may be written in the next")
	}
	for last, i := time.Duration(0), 0; i < 30; i++ {
		l.rest(false, time.Second)
		if pause := l.againAt - time.Second; pause < last || pause < restNear || pause > restFar || i > 10 && pause != restFar {
			t.Fatalf("a pause of %v after %v", pause, last)
		} else {
			last = pause
		}
	}
	if l.rest(true, time.Second); l.vain != 0 {
		t.Error("it was not in vain")
	}
}

// A pool that is given three times what it holds writes back by itself and takes all of it in the end; what is asked for now and
// then stays as it was.
func TestFullPoolWritesBack(t *testing.T) {
	o := Options{MaxBytes: 4 << 20, IdleAfter: 50 * time.Millisecond, Background: &Background{}}.forTests()
	p, err := New(o)
	noErr(t, err)
	defer func() { checkAndClose(t, p) }()
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
	w, r := p.NewWorker(), newRand(t)
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	const slots = 8000 // of 1800 bytes and more
	refused := 0
	content := func(slot uint64) uint64 { return slot<<12 | 3<<8 }
	for slot := range uint64(slots) {
		crashPage(page, content(slot))
		for began := time.Now(); ; refused++ {
			err := w.Store(slot, page)
			if err == nil {
				break
			}
			if err != ErrFull || time.Since(began) > time.Minute {
				t.Fatalf("slot %d: %v; %+v", slot, err, p.Stats())
			}
			time.Sleep(time.Millisecond)
		}
		if r.IntN(20) == 0 {
			check(t, w, r, slot+1, page, got, content)
		}
	}
	for range 500 {
		check(t, w, r, slots, page, got, content)
	}
	s := p.Stats()
	t.Logf("%d stores refused; %d pages in the file, %d reads, %d promoted; %+v", refused, s.WrittenPages, s.Backing.Reads, s.Promoted, s.WrittenBack)
	if s.WrittenPages < slots/3 || s.MemoryBytes > o.MaxBytes {
		t.Errorf("%d pages in the file, %d bytes of memory", s.WrittenPages, s.MemoryBytes)
	}
}

// What is coldest is written first, wherever it is: a step looks at a part of a large slot table only.
func TestColdestOfManySlots(t *testing.T) {
	const cold, warm, n = scanMost, 0, 2000 // slots
	b := newBacked(t, Options{Slots: 4 * scanMost, MaxBytes: 64 << 20, RecompressCodec: "none"})
	fill := func(first uint64, ticks int) {
		for slot := range uint64(n) {
			b.store(first+slot, slot<<12|3<<8)
		}
		for range ticks {
			b.p.Tick()
		}
	}
	fill(cold, 14)
	fill(warm, 6)
	_, _, err := b.p.Recompress(0, 1) // counts ages
	noErr(t, err)
	noErr(t, b.p.SetMaxBytes(b.p.zs.InUse()))
	b.p.writeback.next = 2 * scanMost
	for range 8 {
		b.p.writeback.turn(b.p.writeback.file.Load())
	}
	b.p.writeback.each(func(slot uint64, _ word) {
		if slot < cold {
			t.Fatalf("slot %d was written, and there are colder ones", slot)
		}
	})
	if b.p.Stats().WrittenPages == 0 {
		t.Error("nothing was written")
	}
	noErr(t, b.p.SetMaxBytes(64<<20))
	b.verify()
}

// Who asks for it gets the coldest pages written, however far apart they are, and learns when there are none.
func TestWriteBackColdestOfManySlots(t *testing.T) {
	const n, far = 1000, 3*scanMost + 77
	b := newBacked(t, Options{Slots: 4 * scanMost, MaxBytes: 64 << 20, RecompressCodec: "none"})
	for slot := range uint64(n) {
		b.store(far+slot, slot<<12|3<<8)
	}
	b.p.Tick()
	pages := uint64(0)
	for more := true; more; {
		var did Written
		var err error
		did, more, err = b.p.WriteBackColdest(1 << 60)
		noErr(t, err)
		pages += did.Pages
	}
	if pages != n {
		t.Errorf("%d pages were written, want %d", pages, n)
	}
	b.verify()
}

func check(t *testing.T, w *Worker, r *rand.Rand, slots uint64, page, got []byte, content func(uint64) uint64) {
	t.Helper()
	slot := r.Uint64N(slots)
	noErr(t, w.Load(slot, got))
	if crashPage(page, content(slot)); !bytes.Equal(page, got) {
		t.Fatalf("slot %d: not the page that was stored", slot)
	}
	crashPage(page, content(slot))
}

// Pages that were idle for as long as the settings say are written although there is room.
func TestWritebackAfter(t *testing.T) {
	p, err := New(Options{IdleAfter: 20 * time.Millisecond, WritebackAfter: 40 * time.Millisecond, Background: &Background{}}.forTests())
	noErr(t, err)
	defer func() { checkAndClose(t, p) }()
	w, page := p.NewWorker(), make([]byte, PageSize)
	for slot := range uint64(1000) {
		crashPage(page, slot<<12|3<<8)
		noErr(t, w.Store(slot, page))
	}
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
	for began := time.Now(); p.Stats().WrittenPages < 1000-fewPages; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%+v", p.Stats())
		}
	}
	if d := p.Stats().Backing; d.WrittenBytes > 3*backing.ExtentBytes {
		t.Errorf("%d bytes were written for 2 MB of pages", d.WrittenBytes)
	}
}
