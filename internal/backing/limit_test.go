package backing

import (
	"errors"
	"testing"
	"time"
)

// The limits of bytes a day and a second hold over restarts, to the byte.
func TestLimits(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{Bytes: 32 * ExtentBytes, Limits: Limits{DayBytes: 5*ExtentBytes + 1000}})
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	fill := func() (n int64, err error) {
		w.f.now = clock
		before := w.f.Stats().WrittenBytes
		for err == nil {
			_, err = w.write(r, 2*ExtentBytes)
			for p := range w.has {
				w.drop(p)
			}
		}
		return int64(w.f.Stats().WrittenBytes - before), err
	}
	n, err := fill()
	if most := w.o.DayBytes; !errors.Is(err, ErrLimit) || n > most || n < most-3*minAllowance {
		t.Fatalf("%d bytes of %d: %v", n, most, err)
	}
	w.reopen()
	if n, err := fill(); n != 0 || !errors.Is(err, ErrLimit) {
		t.Fatalf("%d bytes after a restart: %v", n, err)
	}
	now = now.Add(-2 * time.Hour)
	if n, err := fill(); n != 0 || !errors.Is(err, ErrLimit) {
		t.Fatalf("%d bytes with the clock set back: %v", n, err)
	}
	now = now.Add(27 * time.Hour)
	if n, _ := fill(); n < 4*ExtentBytes {
		t.Fatalf("%d bytes the next day", n)
	}
	w.f.SetLimits(Limits{SecondBytes: 2 * ExtentBytes})
	now = now.Add(time.Minute)
	if n, err := fill(); n > 2*ExtentBytes || n < ExtentBytes || !errors.Is(err, ErrLimit) {
		t.Fatalf("%d bytes in no time: %v", n, err)
	}
	now = now.Add(500 * time.Millisecond)
	if n, _ := fill(); n > ExtentBytes+minAllowance || n < ExtentBytes/2 {
		t.Fatalf("%d bytes in half a second", n)
	}
}

// What was written of a batch that is given up counts: it wears the disk as any other.
func TestDroppedBytesCount(t *testing.T) {
	w := newOwner(t, Options{Bytes: 32 * ExtentBytes})
	b, err := w.f.Begin(2*ExtentBytes, true)
	noErr(t, err)
	before := w.f.Stats().DayBytes
	var places []Place
	for range ExtentBytes/MaxObject + 2 { // more than an extent: the first is written
		p, ok := b.Add(Object{}, make([]byte, MaxObject-headerSize-tagSize), 1)
		if !ok {
			t.Fatal("no room")
		}
		places = append(places, p)
	}
	b.Drop()
	for _, p := range places {
		w.f.Free(p)
	}
	if n := w.f.Stats().DayBytes - before; n < ExtentBytes*9/10 {
		t.Errorf("%d bytes counted", n)
	}
}
