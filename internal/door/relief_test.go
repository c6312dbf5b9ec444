package door

import "testing"

// A pool counts as full as long as it refuses pages for that, and a while longer; where it refuses them for want of memory, only
// when that goes on, and does not end by itself.
func TestFullness(t *testing.T) {
	var f fullness
	var refused, failed, stored uint64
	tick := func(r, fail, s uint64, says bool) bool {
		refused, failed, stored = refused+r, failed+fail, stored+s
		return f.look(refused, failed, stored, says)
	}
	if tick(0, 0, 100, false) || tick(0, 5, 100, false) {
		t.Error("full with pages coming in")
	}
	if !tick(1, 0, 100, false) {
		t.Error("not full, having refused a page for that")
	}
	n := 1
	for ; tick(0, 0, 100, false); n++ {
	}
	if n != holdTicks {
		t.Errorf("full for %d ticks, want %d", n, holdTicks)
	}
	if !tick(0, 0, 0, true) {
		t.Error("not full, as the pool says it is")
	}
	for f.hold > 0 {
		tick(0, 0, 1, false)
	}
	f = fullness{refused: refused, windowAll: refused + failed, windowIn: stored}
	for n = 1; !tick(0, 7, 6, false) && n < 1000; n++ {
	}
	if n != stuckCount*windowTicks {
		t.Errorf("full after %d ticks without memory, want %d", n, stuckCount*windowTicks)
	}
	for n = 1; tick(0, 0, 0, false) && n < 1000; n++ { // nobody asks: then it is tried again
	}
	if n != stuckHold {
		t.Errorf("full for %d ticks, want %d", n, stuckHold)
	}
	f = fullness{refused: refused, windowAll: refused + failed, windowIn: stored}
	for n = range 10 * windowTicks {
		if tick(0, 7, uint64(n%2*20), false) {
			t.Fatal("full, although more pages come in than are refused")
		}
	}
}
