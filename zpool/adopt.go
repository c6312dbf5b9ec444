package zpool

import (
	"math"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// found is what recovery counts while it walks the slots.
type found struct {
	Recovered
	counters
	table    *slots
	zs       *zsmalloc.Recovery
	file     *backing.File              // nil: none
	unbacked uint64                     // pages that were in a file, and are lost
	owners   map[zsmalloc.Handle]uint64 // of objects that a slot had claimed before their owner came
	window   uint64                     // that the walk is in
	claims   []claim                    // of slots in it
}

// adoptSlots claims the objects that slots name and unlocks the slots. Only damage makes a page lost: it takes no memory that
// there might not be.
func adoptSlots(table *slots, zs *zsmalloc.Recovery, file *backing.File) *found {
	f := &found{table: table, zs: zs, file: file, owners: map[zsmalloc.Handle]uint64{}}
	table.each(func(slot uint64, at *atomic.Uint64) bool {
		if f.window != windowOf(slot) {
			f.adoptClusters()
			f.window = windowOf(slot)
		}
		switch old := word(at.Load()); old &^ lockBit {
		case 0:
			if old != 0 {
				at.Store(0)
			}
		default:
			f.Pages++
			f.adopt(slot, old&^lockBit)
		}
		return true
	})
	f.adoptClusters()
	if len(f.owners) > 0 {
		f.evict()
	}
	return f
}

// adopt claims what a slot's word names, and settles the slot, if it is not that of a cluster's member.
func (f *found) adopt(slot uint64, w word) {
	if w.kind() == kindMember {
		f.claim(slot, w)
		return
	}
	whole, twice := f.adoptSlot(slot, w)
	if twice {
		if whole = owns(slot, w, f.zs); whole {
			f.owners[w.handle()] = slot
		}
	}
	f.settle(slot, w, whole)
}

// settle unlocks a slot, whose page is whole or lost.
func (f *found) settle(slot uint64, w word, whole bool) {
	if !whole {
		w = lostWord
		f.Lost++
	}
	if at := f.table.word(slot); at.Load() != uint64(w) {
		at.Store(uint64(w))
	}
	step("recover: slot unlocked")
	f.count(0, w)
}

// claim notes that a slot names a cluster. Whether it is one of its members is seen when all of the window have spoken.
func (f *found) claim(slot uint64, w word) {
	for i := range f.claims {
		if c := &f.claims[i]; c.handle == w.handle() && c.length == w.length() {
			c.slots |= memberBit(slot)
			return
		}
	}
	f.claims = append(f.claims, claim{w.handle(), w.length(), memberBit(slot), f.window})
}

// claim is a cluster that slots of the window name, with the length that they say it has.
type claim struct {
	handle zsmalloc.Handle
	length int
	slots  uint16
	window uint64
}

// adoptClusters adopts the clusters of the window, makes those slots lost that name what is not theirs, and notes in each
// cluster which of its members are still there.
func (f *found) adoptClusters() {
	for _, c := range f.claims {
		members := f.adoptCluster(c)
		for slot := f.window; slot < f.window+windowSlots; slot++ {
			if bit := memberBit(slot); c.slots&bit != 0 {
				f.settle(slot, word(f.table.word(slot).Load()&^lockBit), members&bit != 0)
			}
		}
	}
	f.claims = f.claims[:0]
}

// adoptCluster returns which of the slots that claim a cluster are members of it: none, if it is not one.
func (f *found) adoptCluster(c claim) (members uint16) {
	object, tag, err := f.zs.Object(c.handle, c.length)
	if err != nil || c.length <= clusterHeader {
		return 0
	}
	known := isCluster(object, c.handle, c.window)
	if !known && clusterChecksum(object, f.window) != tag {
		return 0
	}
	members = membersOf(object) & c.slots
	if known {
		members &= liveOf(object) // a word that says more is from before its page left
	}
	if members == 0 {
		return 0
	}
	switch err := f.zs.Adopt(c.handle, c.length); {
	case err == zsmalloc.ErrAdopted:
		f.owners[c.handle] = noSlot
	case err != nil:
		return 0
	}
	if !known || liveOf(object) != members {
		setLive(object, c.handle, f.window, members, membersOf(object))
		step("recover: cluster settled")
	}
	f.countCluster(int64(c.length), 1)
	return members
}

// noSlot is the owner of a cluster.
const noSlot = math.MaxUint64

// adoptSlot reports whether the page of a slot is whole, as far as can be told without reading it, and whether another slot
// has claimed the object before.
func (f *found) adoptSlot(slot uint64, w word) (whole, twice bool) {
	switch w.kind() {
	case kindSameFilled:
		return w.ageless() == sameFilledWord(slot, w.pattern()), false
	case kindObject:
		err := f.zs.Adopt(w.handle(), w.length())
		return err == nil, err == zsmalloc.ErrAdopted
	case kindWritten:
		if f.file != nil && f.file.Claim(w.place()) {
			return true, false
		}
		f.unbacked++
	}
	return false, false
}

// owns reports whether the object that a slot's word names is the slot's: what the checksum says when two slots name one.
func owns(slot uint64, w word, zs *zsmalloc.Recovery) bool {
	object, tag, err := zs.Object(w.handle(), w.length())
	return err == nil && checksum(object, slot, w.codec()) == tag
}

// evict makes those slots lost that had claimed another's object.
func (f *found) evict() {
	f.table.each(func(slot uint64, at *atomic.Uint64) bool {
		w := word(at.Load())
		if owner, ok := f.owners[w.handle()]; ok && w.kind() == kindObject && owner != slot {
			at.Store(uint64(lostWord))
			f.count(w, lostWord)
			f.Lost++
		}
		return true
	})
}
