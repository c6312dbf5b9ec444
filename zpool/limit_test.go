package zpool

import (
	"sync"
	"testing"
	"time"
)

// The memory that is left for packing is there when it is needed: frames of the slot table do not use it up.
func TestHeadroomStays(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1 << 20, MaxBytes: 16 << 20, IdleAfter: time.Hour, Background: &Background{}})
	w, page := p.NewWorker(), make([]byte, PageSize)
	p.tiers.mu.Lock() // the background has other things to do
	for slot, err := uint64(0), error(nil); err == nil; slot++ {
		makePage(page, 4, slot)
		if err = w.Store(slot, page); err != nil && err != ErrFull {
			t.Error(err)
		}
	}
	clear(page)
	for slot := uint64(1 << 19); slot < 1<<20; slot += slotsPerFrame {
		if err := w.Store(slot, page); err != ErrFull {
			t.Errorf("a full pool took a frame for a slot: %v", err)
			break
		}
	}
	p.tiers.mu.Unlock()
	waitFor(t, "pages are packed", func() bool { return p.Stats().ColdPages > 300 })
}

// A limit that is lowered below what is used is reached by packing; memory never comes to more than what packing takes before it gives
// some back, and at the end not to more than the limit.
func TestLoweredLimit(t *testing.T) {
	begin := make(chan struct{}) // the background, when all is looked at: it may reach the limit in no time
	p := newTestPool(t, Options{Slots: 1 << 14, MaxBytes: 16 << 20, IdleAfter: time.Hour, Background: &Background{Thread: func() { <-begin }}})
	release := sync.OnceFunc(func() { close(begin) })
	t.Cleanup(release)
	w, page := p.NewWorker(), make([]byte, PageSize)
	for slot := range uint64(5000) { // all of it can be packed, to some 60 %
		makePage(page, 4, slot)
		noErr(t, w.Store(slot, page))
	}
	used := p.zs.InUse()
	noErr(t, p.SetMaxBytes(used*9/10))
	if s := p.Settings(); s.MaxBytes != used*9/10 || p.Stats().LimitBytes != s.MaxBytes {
		t.Errorf("a limit of %d, set to %d", s.MaxBytes, used*9/10)
	}
	if b := p.a.Budget().Limit(); b > used+p.tiers.headroom.Load() {
		t.Errorf("%d bytes may be taken, %d are", b, used)
	}
	if err := w.Store(1<<14-1, page); err != ErrFull {
		t.Errorf("a store beyond the limit: %v", err)
	}
	release()
	waitFor(t, "all is within the limit", func() bool { return p.a.Budget().Limit() == used*9/10 && p.zs.InUse() <= used*9/10 })
}

// A store at the limit takes a frame from what is ready elsewhere, and does not give all of that back to the system first; nor does who
// frees a page.
func TestFewFramesAtOnce(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1 << 16, MaxBytes: 128 << 20, AcceptThresholdPercent: 100})
	w, page := p.NewWorker(), make([]byte, PageSize)
	n := uint64(0)
	for ; ; n++ {
		makePage(page, 3, n) // random
		if err := w.Store(n, page); err == ErrFull {
			break
		} else {
			noErr(t, err)
		}
	}
	ready := func() int64 { n, _, _ := p.zs.Ready(); return n }
	_, most, _ := p.zs.Ready()
	noErr(t, w.Invalidate(0, uint64(most)-10))
	before := ready()
	makePage(page, 4, 1) // of another class
	noErr(t, w.Store(n, page))
	if after := ready(); before < most-20 || after < before-64 {
		t.Errorf("%d frames ready, %d after a store", before, after)
	}
	for slot := uint64(most); slot < n; slot++ {
		before := ready()
		noErr(t, w.Invalidate(slot, 1))
		if after := ready(); after < before-64 {
			t.Fatalf("%d frames ready, %d after a page was freed", before, after)
		}
	}
}
