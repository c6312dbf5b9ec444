package zpool

import (
	"errors"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
)

// An extent of clusters half of which are gone is emptied, although what is left of them is wanted by all their members.
func TestCleanClusters(t *testing.T) {
	b := newBacked(t, Options{MaxBytes: 32 << 20, ClusterSize: 4 * PageSize})
	for slot := range uint64(16000) {
		b.store(slot, slot<<12|1<<8)
	}
	b.p.Tick()
	packAll(t, b.p)
	if s := b.p.Stats(); s.ColdPages < 15000 || s.Clusters > 5000 {
		t.Fatalf("%d pages in %d clusters", s.ColdPages, s.Clusters)
	}
	writeAll(t, b.p)
	for slot := range uint64(16000) {
		if slot/windowSlots%2 == 0 {
			b.invalidate(slot)
		}
	}
	before := b.p.writeback.file.Load().FreeBytes()
	cleaned := Cleaned{}
	for more := true; more; {
		did, m, err := b.p.CleanBacking()
		noErr(t, err)
		cleaned.add(did)
		more = m
	}
	freed := b.p.writeback.file.Load().FreeBytes() - before
	if freed < cleaned.Bytes/2 || cleaned.Extents < 4 {
		t.Errorf("%+v, %d bytes freed, of %d that were wanted", cleaned, freed, b.p.Stats().Backing.LiveBytes)
	}
	noErr(t, b.p.Check())
	b.verify()
}

// What is wanted in each extent is counted in steps, while pages go to the file, leave it and move in it: each step looks at a part
// of the slots only, and no count is ever too low, or a full extent would be taken for an empty one.
func TestCountOnceInSteps(t *testing.T) {
	const slots = 2*onceSlots + onceSlots/2
	r := newRand(t)
	b := newBacked(t, Options{Slots: slots, MaxBytes: 32 << 20, ClusterSize: 4 * PageSize})
	f, o := b.p.writeback.file.Load(), &b.p.writeback.once
	store := func(n int) {
		for more := true; more && f.FreeBytes() < f.Bytes()/2; { // or the file is full, by chance
			var err error
			_, more, err = b.p.CleanBacking()
			noErr(t, err)
		}
		for range n {
			b.store(r.Uint64N(3)*onceSlots+r.Uint64N(1000), r.Uint64()<<12|sortShort<<8)
		}
		b.p.Tick()
		packAll(t, b.p)
		writeAll(t, b.p)
	}
	if _, more, err := b.p.CleanBacking(); !more || err != nil || o.next != onceSlots || o.whole {
		t.Fatalf("after the first step %d slots were looked at, more %t, %v", o.next, more, err)
	}
	whole, partly := 0, 0
	for range 60 {
		switch r.IntN(4) {
		case 0:
			store(500)
		case 1:
			for slot := range b.want {
				if r.IntN(4) == 0 {
					b.invalidate(slot)
				}
			}
		case 2:
			_, _, err := b.p.CleanBacking()
			noErr(t, err)
		case 3:
			b.p.writeback.countOnce()
		}
		if !o.whole {
			partly++
			continue
		}
		whole++
		fresh := once{units: make([]int32, len(o.units))}
		now := *o
		*o = fresh
		for !b.p.writeback.countOnce() {
		}
		fresh, *o = *o, now
		for i, n := range fresh.units {
			if o.units[i] < n {
				t.Fatalf("extent %d: %d units counted, %d are wanted", i, o.units[i], n)
			}
		}
	}
	if whole == 0 || partly == 0 || f.FreeBytes() == f.Bytes() {
		t.Errorf("%d counts were whole, %d were not: the test did not test", whole, partly)
	}
	noErr(t, b.p.Check())
	b.verify()
}

// halfDead is a pool whose backing file has some extents, half of each wanted.
func halfDead(t *testing.T) *backed {
	b := newBacked(t, Options{MaxBytes: 32 << 20})
	for slot := range uint64(8000) {
		b.store(slot, slot<<12|3<<8)
	}
	b.p.Tick()
	writeAll(t, b.p)
	for slot := uint64(0); slot < 8000; slot += 2 {
		b.invalidate(slot)
	}
	if s := b.p.Stats().Backing; s.LiveBytes < 3<<20 {
		t.Fatalf("%+v", s)
	}
	return b
}

// cleanAll cleans until there is nothing left to clean, or an error.
func (b *backed) cleanAll() (all Cleaned, err error) {
	for more := true; more && err == nil; {
		var did Cleaned
		did, more, err = b.p.CleanBacking()
		all.add(did)
	}
	return all, err
}

// What may be written is too little for an extent: that is the limit's fault, and the extents are emptied when it allows it again.
func TestCleanAtTheLimit(t *testing.T) {
	b := halfDead(t)
	o := BackingOptions{DayBytes: b.p.Stats().Backing.DayBytes + 72<<10}
	noErr(t, b.p.SetBackingLimits(o))
	for range 3 {
		did, err := b.cleanAll()
		if did.Extents > 0 || !errors.Is(err, backing.ErrLimit) {
			t.Fatalf("%+v, %v", did, err)
		}
	}
	if s := b.p.Stats().Backing; s.DayBytes > o.DayBytes || s.WriteErrors > 0 {
		t.Errorf("%+v", s)
	}
	noErr(t, b.p.SetBackingLimits(BackingOptions{}))
	did, err := b.cleanAll()
	if did.Extents < 2 || err != nil {
		t.Errorf("without a limit: %+v, %v", did, err)
	}
	noErr(t, b.p.Check())
	b.verify()
}

// An extent that the disk does not give back is left alone, and the others are emptied.
func TestCleanBesideABadSector(t *testing.T) {
	var bad atomic.Int64 // where the extent is that cannot be read; -1: none, -2: the next one
	bad.Store(-1)
	undo := backing.SetFault(func(op backing.Op, off, n int64) error {
		if op == backing.OpRead && n == backing.ExtentBytes && (bad.CompareAndSwap(-2, off) || bad.Load() == off) {
			return unix.EIO
		}
		return nil
	}, nil)
	defer undo()
	b := halfDead(t)
	bad.Store(-2)
	if _, err := b.cleanAll(); !errors.Is(err, unix.EIO) || !errors.Is(b.p.Stats().BackingError, unix.EIO) {
		t.Fatalf("%v; the pool says %v", err, b.p.Stats().BackingError)
	}
	did, err := b.cleanAll()
	if did.Extents < 2 || err != nil {
		t.Errorf("the others: %+v, %v", did, err)
	}
	noErr(t, b.p.Check())
	bad.Store(-1)
	b.verify()
}
