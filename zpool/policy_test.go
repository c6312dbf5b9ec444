package zpool

import (
	"testing"
	"testing/synctest"
	"time"
)

// What to do next, for one thing after another that may be seen.
func TestPolicy(t *testing.T) {
	s := DefaultSettings()
	s.IdleAfter = 40 * time.Second // generations of 10 s
	usual := view{used: 500 << 20, limit: 1 << 30, readyMost: 100, swept: true, aging: true, generation: 3 * time.Second}
	with := func(change func(v *view)) view { v := usual; change(&v); return v }
	for _, test := range []struct {
		name string
		v    view
		want plan
	}{
		{"nothing to do", usual, plan{act: actRest, rest: 7 * time.Second}},
		{"the generation is over", with(func(v *view) { v.generation = 10 * time.Second }), plan{act: actTick, share: 100}},
		{"to look at all slots takes long", with(func(v *view) { v.generation, v.sweepTime = 10*time.Second, 200*time.Millisecond }),
			plan{act: actRest, rest: 10 * time.Second}},
		{"slots that were not looked at", with(func(v *view) { v.swept = false }),
			plan{act: actSweep, budget: sweepSlots, idle: 40 * time.Second, share: cpuCalm}},
		{"and the system is short of memory", with(func(v *view) { v.swept, v.pressure = false, 3 }),
			plan{act: actSweep, budget: sweepSlots, idle: 10 * time.Second, share: cpuShort}},
		{"and the pool is", with(func(v *view) { v.swept, v.used = false, 900<<20 }),
			plan{act: actSweep, budget: sweepSlots, idle: 10 * time.Second, share: cpuShort}},
		{"and it is full", with(func(v *view) { v.swept, v.full = false, true }),
			plan{act: actSweep, budget: sweepSlots, idle: 0, share: cpuFull}},
		{"it soon will be, and compaction helps", with(func(v *view) { v.swept, v.used, v.freeable = false, 1000<<20, 100 }),
			plan{act: actCompact, budget: 4 * compactBudget, share: cpuFull}},
		{"full, and the generation is young", with(func(v *view) { v.full, v.generation = true, 100*time.Millisecond }),
			plan{act: actRest, rest: 10*time.Second/64 - 100*time.Millisecond}},
		{"full, and it is not", with(func(v *view) { v.full, v.generation = true, 200*time.Millisecond }), plan{act: actTick, share: 100}},
		{"a store was refused", with(func(v *view) { v.urged, v.freeable = true, 70 }), plan{act: actCompact, budget: 4 * compactBudget, share: cpuFull}},
		{"little waste", with(func(v *view) { v.freeable = 5 * 1280 }), plan{act: actRest, rest: 7 * time.Second}},
		{"much waste", with(func(v *view) { v.freeable = 7 * 1280 }), plan{act: actCompact, budget: compactBudget, share: 20}},
		{"much waste, slots that were not looked at", with(func(v *view) { v.freeable, v.swept = 7*1280, false }),
			plan{act: actSweep, budget: sweepSlots, idle: 40 * time.Second, share: cpuCalm}},
		{"very much waste, slots that were not looked at", with(func(v *view) { v.freeable, v.swept = 20*1280, false }),
			plan{act: actCompact, budget: compactBudget, share: 20}},
		{"far too many ready frames, slots that were not looked at", with(func(v *view) { v.ready, v.swept = 201, false }),
			plan{act: actTrim, budget: 100, share: 100}},
		{"compaction goes on until half of it is left", with(func(v *view) { v.freeable, v.compacting = 4*1280, true }),
			plan{act: actCompact, budget: compactBudget, share: 20}},
		{"and then ends", with(func(v *view) { v.freeable, v.compacting = 2*1280, true }), plan{act: actRest, rest: 7 * time.Second}},
		{"a few frames are not worth it", with(func(v *view) { v.used, v.freeable = 40<<10, minFreeable-1 }), plan{act: actRest, rest: 7 * time.Second}},
		{"too many ready frames", with(func(v *view) { v.ready = 101 }), plan{act: actTrim, budget: 50, share: 100}},
		{"ready frames that nobody takes", with(func(v *view) { v.ready, v.readyUnasked = 5, 3*time.Second }), plan{act: actTrim, budget: 0, share: 100}},
		{"no codec for idle pages", with(func(v *view) { v.aging, v.swept, v.generation = false, false, time.Hour }), plan{act: actRest, rest: trimIdle}},
	} {
		if got := decide(&test.v, &s); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// A pool of pages that go idle, in virtual time: the policy finds them in time, keeps to its share of the CPU, and rests when
// all is done, however many slots there are.
func TestPolicyInTime(t *testing.T) {
	const look, pack = time.Nanosecond, 12 * time.Microsecond // of a slot, of a page
	for _, slots := range []int64{1 << 16, 1 << 24} {
		for _, pressure := range []float64{0, 5} {
			s := DefaultSettings()
			s.IdleAfter = 20 * time.Second
			now, busy, packed, next, began := time.Duration(0), time.Duration(0), int64(0), int64(0), time.Duration(0)
			var swept time.Duration
			var ages []time.Duration // when generations began, the first first
			ages = append(ages, 0)
			var done, packing time.Duration
			for now < 2*time.Minute {
				v := view{used: 1 << 29, limit: 1 << 30, swept: next == slots, sweepTime: time.Duration(slots) * look, generation: now - began, aging: true, pressure: pressure}
				d := decide(&v, &s)
				took := time.Duration(0)
				switch d.act {
				case actRest:
					now += min(d.rest, lookEvery)
					continue
				case actTick:
					began, next = now, 0
					ages = append(ages, now)
				case actSweep:
					n, k := min(int64(d.budget), slots-next), int64(0)
					if len(ages) > 1 && now-ages[1] >= d.idle && packed < next/4+packPages { // all were used in the first generation
						k = min(packPages, slots/4-packed)
						n = min(n, 4*k) // every fourth slot has one
					}
					next, packed = next+n, packed+k
					swept += time.Duration(n) * look
					took = time.Duration(n)*look + time.Duration(k)*pack
					packing += time.Duration(k) * pack
					if k > 0 {
						done = now
					}
				default:
					t.Fatalf("%+v", d)
				}
				busy += took
				now += took + took*time.Duration(100-d.share)/time.Duration(d.share)
			}
			idle := s.IdleAfter
			if pressure > 0 {
				idle /= 4
			}
			t.Logf("%d slots, pressure %v: all packed after %v, looking took %.2f %% of the time, all of it %.1f %%",
				slots, pressure, done, 100*swept.Seconds()/now.Seconds(), 100*busy.Seconds()/now.Seconds())
			if swept > now/90 {
				t.Errorf("%d slots: looking at them took %v of %v", slots, swept, now)
			}
			if slots == 1<<16 && (packed < slots/4 || done > idle+2*s.generationLength()+10*packing) || packed == 0 {
				t.Errorf("%d slots, pressure %v: %d pages were packed; done after %v", slots, pressure, packed, done)
			}
		}
	}
}

// The goroutine packs what is idle by itself, not before its time, and not what is used.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, Options{Slots: 1024, Compressor: "lz4", RecompressCodec: "s2", IdleAfter: time.Minute, Background: &Background{}})
		w := p.NewWorker()
		page := make([]byte, PageSize)
		for slot := range uint64(512) {
			makeColdPage(page, slot)
			noErr(t, w.Store(slot, page))
		}
		for range 5 {
			time.Sleep(10 * time.Second)
			noErr(t, w.Load(7, page))
			if n := p.Stats().ColdPages; n != 0 {
				t.Fatalf("%d pages are cold within a minute", n)
			}
		}
		for range 4 {
			time.Sleep(10 * time.Second)
			noErr(t, w.Load(7, page))
		}
		s := p.Stats()
		if s.ColdPages < 400 || word(p.slots.word(7).Load()).cold() || s.Ticks < 5 {
			t.Errorf("%d pages are cold after a minute and a half, and %d generations; slot 7, which is used: %t", s.ColdPages, s.Ticks, word(p.slots.word(7).Load()).cold())
		}
		for range 2 {
			noErr(t, w.Load(9, page))
			makeColdPage(page, 9)
		}
		if word(p.slots.word(9).Load()).cold() || p.Stats().Promoted != 1 {
			t.Errorf("slot 9, which was used twice, is cold; %d promoted", p.Stats().Promoted)
		}
		now := p.Settings()
		now.RecompressCodec = "none"
		noErr(t, p.Set(now))
		for slot := range uint64(512) {
			makeColdPage(page, slot)
			noErr(t, w.Store(slot, page))
		}
		time.Sleep(10 * time.Minute)
		if n := p.Stats().ColdPages; n != 0 {
			t.Errorf("%d pages are cold without a codec", n)
		}
	})
}
