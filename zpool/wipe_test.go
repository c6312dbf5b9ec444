package zpool

import (
	"bytes"
	"testing"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/invariant"
	"github.com/zswapd/zswapd/zsmalloc"
)

// secret is what a page holds that is not to be found in memory afterwards: bytes that no codec shortens.
func secret(n uint64) []byte {
	page := make([]byte, PageSize)
	x := n*0x9e3779b97f4a7c15 + 1
	for i := range page {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		page[i] = byte(x)
	}
	return page
}

// foundSecrets counts the copies of the content of pages that are anywhere in the store's memory.
func foundSecrets(t *testing.T, p *Pool, from, to uint64) (count int) {
	t.Helper()
	var memory []byte
	err := p.a.Resident(0, p.a.Size(), func(off, bytes int64) {
		for ; bytes > 0; off, bytes = off+arena.FrameSize, bytes-arena.FrameSize {
			memory = append(memory, p.a.Bytes(off, arena.FrameSize)...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		count += bytes.Count(memory, secret(i)[100:140])
	}
	return count
}

// TestWipeOnFree: what was stored is not in memory any more when it was overwritten, invalidated, or moved by compaction; and
// nothing is after Wipe. Without, it is: that is what the test would see.
func TestWipeOnFree(t *testing.T) {
	const n = 64
	for _, wipe := range []bool{false, true} {
		p, err := New(Options{Slots: 4 * n, MaxBytes: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		p.SetWipeOnFree(wipe)
		w := p.NewWorker()
		for i := range uint64(n) {
			if err := w.Store(i, secret(i)); err != nil {
				t.Fatal(err)
			}
		}
		// Objects that share a frame with others, so that frames stay when they go.
		for i := range uint64(n) {
			if err := w.Store(n+i, append(secret(i + n)[:1500:1500], make([]byte, PageSize-1500)...)); err != nil {
				t.Fatal(err)
			}
		}
		if got := foundSecrets(t, p, 0, 2*n); got != 2*n {
			t.Fatalf("%d of %d pages are in memory: the test cannot see them", got, 2*n)
		}
		for i := range uint64(n) { // holes, for compaction
			if i%3 > 0 {
				if err := w.Invalidate(n+i, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range uint64(n) { // half is overwritten, half is dropped
			if i%2 == 0 {
				err = w.Store(i, make([]byte, PageSize))
			} else {
				err = w.Invalidate(i, 1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		moved := 0
		for more := true; more; {
			var c zsmalloc.Compaction
			c, more = p.Compact(1 << 20)
			moved += c.Objects
		}
		gone, live, left := foundSecrets(t, p, 0, n), 0, foundSecrets(t, p, n, 2*n)
		for i := range uint64(n) {
			if i%3 == 0 {
				live++
			}
		}
		t.Logf("wipe %t: %d copies of %d pages that are gone, %d of %d that are not; %d were moved", wipe, gone, n, left, live, moved)
		if wipe && (gone > 0 || left != live) || !wipe && gone == 0 && !invariant.On || moved == 0 { // with invariants, what is freed is poisoned
			t.Errorf("wipe %t: %d copies of %d pages that are gone, %d of %d that are not; %d were moved", wipe, gone, n, left, live, moved)
		}
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		p.Wipe()
		if got := foundSecrets(t, p, 0, 2*n); got > 0 && wipe {
			t.Errorf("after Wipe: %d", got)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a process had in its hands when it was killed is wiped by the next one: an object that nobody names yet, or any more.
func TestWipeAfterKill(t *testing.T) {
	for _, reserve := range []int64{0, 1 << 20} {
		o := Options{Slots: 256, MaxBytes: 16 << 20, WipeOnFree: true, ReserveBytes: reserve}
		p, err := New(o)
		noErr(t, err)
		w := p.NewWorker()
		for i := range uint64(16) {
			page := secret(i)
			if i >= 8 { // a zspage of its own; the others share some
				clear(page[1500:])
			}
			noErr(t, w.Store(i, page))
		}
		for _, slot := range []uint64{3, 12} { // killed when the slot has its new word, and the old object is still there
			at := p.slots.word(slot)
			lockSlot(at)
			publish(at, sameFilledWord(slot, 0))
		}
		if n := foundSecrets(t, p, 0, 16); n != 16 {
			t.Fatalf("%d of 16 pages are in memory: the test cannot see them", n)
		}
		p, r, err := reopenIn(p, o)
		noErr(t, err)
		if n := foundSecrets(t, p, 0, 16); n != 14 || r.Unclaimed != 2 {
			t.Errorf("reserve of %d: %d pages are in memory, 14 are stored: %+v", reserve, n, r)
		}
		checkAndClose(t, p)
	}
}
