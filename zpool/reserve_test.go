package zpool

import (
	"bytes"
	"errors"
	"testing"
	"time"
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
