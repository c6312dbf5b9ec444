package zpool

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/backing"
)

// once are the units of each extent of the backing file that objects take which somebody wants, each object once. The file itself
// counts a cluster for each of its members, and would keep an extent until less than a quarter of it is wanted.
//
// They are counted in steps, for there may be millions of slots, and are good for many extents: what is written meanwhile is
// added, but what goes is not taken off. So they are never too low; when they show no extent that is worth emptying, they are
// counted anew. Guarded by writeback.mu.
type once struct {
	units []int32
	next  uint64 // slot at which a count goes on; 0: none is under way
	whole bool   // the last one has come to its end
}

const (
	// onceSlots are looked at in a step: some milliseconds.
	onceSlots = 256 << 10
	// onceMost is where a count stays, for an extent that is written again and again meanwhile.
	onceMost = 1 << 20
)

// add counts a new object.
func (o *once) add(p backing.Place) {
	if i := p.Extent(); i < len(o.units) { // else a damaged word's
		o.units[i] = min(o.units[i]+int32(p.Units()), onceMost)
	}
}

// emptiest finds an extent that is worth emptying: by the file's own count, or by ours. more says that there was none in this
// step, but there may be one in the next.
func (b *writeback) emptiest(f *backing.File) (extent int, ok, more bool) {
	if extent, ok = f.Emptiest(cleanPercent, nil); ok {
		return extent, true, true
	}
	o := &b.once
	if o.whole {
		if extent, ok = f.Emptiest(cleanPercent, o.units); ok {
			return extent, true, true
		}
	}
	if !b.countOnce() {
		return 0, false, true
	}
	extent, ok = f.Emptiest(cleanPercent, o.units)
	return extent, ok, false
}

// countOnce is a step of a count. It reports whether that was the last.
func (b *writeback) countOnce() (end bool) {
	o, slots := &b.once, b.p.super.slots
	if o.next == 0 {
		clear(o.units)
		o.whole = false
	}
	for end := min(o.next+onceSlots, slots); o.next < end; {
		if !b.p.slots.committed(o.next) {
			o.next = b.p.slots.nextFrame(o.next)
			continue
		}
		b.countWindow(b.p.slots.window(o.next))
		o.next += windowSlots
	}
	if o.next < slots {
		return false
	}
	o.next, o.whole = 0, true
	return true
}

// countWindow counts the objects that a window's slots name. Members of a cluster are mostly neighbours, and all in one window.
func (b *writeback) countWindow(words *[windowSlots]atomic.Uint64) {
	var seen [windowSlots]backing.Place // of clusters
	n := 0
next:
	for i := range words {
		w := word(words[i].Load())
		if w.kind() != kindWritten {
			continue
		}
		p := w.place()
		if w.codec() == idCluster {
			for j := n - 1; j >= 0; j-- {
				if seen[j] == p {
					continue next
				}
			}
			seen[n] = p
			n++
		}
		b.once.add(p)
	}
}
