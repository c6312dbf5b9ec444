package zsmalloc

import (
	"testing"
	"time"
)

// The goroutine compacts when it is worth it, without being asked, and then rests.
func TestBackgroundCompaction(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	p.StartCompactor(CompactorOptions{Delay: time.Millisecond})
	var all []object
	for i := range 8000 {
		all = append(all, mustPut(t, p, uint64(i), 900))
	}
	before := p.InUse()
	for i, o := range all {
		if i%10 != 0 {
			noErr(t, p.Free(o.h))
		}
	}
	deadline := time.Now().Add(time.Minute)
	for p.InUse() > before/5 {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes in use before, %d now: %+v", before, p.InUse(), p.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	for i, o := range all {
		if i%10 == 0 {
			noErr(t, o.verify(p))
		}
	}
}

// Little to gain is left alone: holes are refilled.
func TestCompactionIsNotWorthIt(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	var all []object
	for i := range 8000 {
		all = append(all, mustPut(t, p, uint64(i), 900))
	}
	for i := 0; i < len(all); i += 50 {
		noErr(t, p.Free(all[i].h))
	}
	if p.worthCompacting(6) {
		t.Errorf("%d of %d frames are worth it", p.FreeableFrames(), p.Stats().Frames)
	}
	for i := 1; i < len(all); i += 5 {
		if i%50 != 0 {
			noErr(t, p.Free(all[i].h))
		}
	}
	if !p.worthCompacting(6) {
		t.Errorf("%d of %d frames are not worth it", p.FreeableFrames(), p.Stats().Frames)
	}
}

// A pool that is left alone keeps no frame that it does not need.
func TestIdlePoolGivesAllBack(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	p.StartCompactor(CompactorOptions{Delay: time.Millisecond, Idle: 10 * time.Millisecond})
	var all []object
	for i := range 8000 {
		all = append(all, mustPut(t, p, uint64(i), 900))
	}
	for i, o := range all {
		if i%10 != 0 {
			noErr(t, p.Free(o.h))
		}
	}
	for deadline := time.Now().Add(time.Minute); p.Stats().ReadyFrames > 0 || p.worthCompacting(6); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", p.Stats())
		}
	}
}

// Frames that compaction by hand freed go back to the system, as in the background.
func TestTrim(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	var all []object
	for i := range 8000 {
		all = append(all, mustPut(t, p, uint64(i), 900))
	}
	for i, o := range all {
		if i%10 != 0 {
			noErr(t, p.Free(o.h))
		}
	}
	for more := true; more; {
		_, more = p.Compact(DefaultBudget)
	}
	before, ready := p.a.Budget().Used(), p.Stats().ReadyFrames
	p.Trim()
	after, left := p.a.Budget().Used(), p.Stats().ReadyFrames
	if before-after != (ready-left)*frameSize || ready <= left || left > 0 {
		t.Errorf("%d ready frames before, %d after; %d bytes before, %d after", ready, left, before, after)
	}
}

// BenchmarkCompact frees at random and compacts: how much is copied for a frame that comes free.
func BenchmarkCompact(b *testing.B) {
	for _, freed := range []int{50, 90} {
		b.Run(map[int]string{50: "freed=50", 90: "freed=90"}[freed], func(b *testing.B) {
			var moved, frames, over float64
			for b.Loop() {
				b.StopTimer()
				p := newTestPool(b, Options{Handles: 1 << 17, MaxFrames: 1 << 16}, 256<<20)
				r := newRand(b)
				var all []object
				for i := range 50_000 {
					all = append(all, mustPut(b, p, uint64(i), 200+r.IntN(2500)))
				}
				var live int64
				for _, o := range all {
					if r.IntN(100) < freed {
						noErr(b, p.Free(o.h))
					} else {
						live += int64(o.size)
					}
				}
				b.StartTimer()
				did, _ := p.Compact(1 << 40)
				b.StopTimer()
				p.releaseReady(0)
				moved += float64(did.Objects)
				frames += float64(did.Frames)
				over += 100*float64(p.InUse())/float64(live) - 100
				b.StartTimer()
			}
			b.ReportMetric(moved/frames, "objects/frame")
			b.ReportMetric(over/float64(b.N), "%over-live")
		})
	}
}

// Each time that a class was locked to compact it is one pause; looking for something to do is none.
func TestPauses(t *testing.T) {
	p := newTestPool(t, Options{}, 16<<20)
	var all []object
	for i := range 2000 {
		all = append(all, mustPut(t, p, uint64(i), 900))
	}
	p.Compact(DefaultBudget) // what was committed ahead
	before := p.Pauses()
	p.Compact(DefaultBudget)
	if s := p.Pauses().Sub(&before); s.Count != 0 {
		t.Errorf("%d pauses with nothing to do", s.Count)
	}
	for i, o := range all {
		if i%4 != 0 {
			noErr(t, p.Free(o.h))
		}
	}
	began, steps := time.Now(), uint64(0)
	for more := true; more; steps++ {
		_, more = p.Compact(DefaultBudget)
	}
	took := time.Since(began)
	if s := p.Pauses().Sub(&before); s.Count == 0 || s.Count > steps || s.Sum > took {
		t.Errorf("%d pauses of %v in all; it was %d steps of one class in %v", s.Count, s.Sum, steps, took)
	}
}
