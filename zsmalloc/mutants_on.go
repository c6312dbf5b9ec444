//go:build invariants

package zsmalloc

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/invariant"
)

// The wrong versions of the protocol that invariant.Mutant can name; the tests must catch each. Their steps have the
// names of the right version's, and a few of their own.

// migrateWrong is migrateLocked with one mistake.
func (p *Pool) migrateWrong(c *class, h Handle, src uint32, i int, dst uint32) (moved bool, err error) {
	mutant := invariant.Mutant
	w := p.handles.word(h)
	old := makeLocation(c.index, src, i)
	for !tryPin(w, old.unpinned()) {
		if mutant != "wait under the lock" {
			return false, nil
		}
		step("mutant: waiting")
		backoff(0)
	}
	step("migrate: pinned")
	j, err := p.takeFromLocked(c, dst, p.zspageAt(c.lane, dst))
	if err != nil {
		unpin(w)
		return false, err
	}
	step("migrate: taken")
	to := makeLocation(c.index, dst, j)
	if mutant == "publish before copy" {
		recordObj(w, to.pinned())
		step("migrate: published")
	}
	if mutant == "free before publish" {
		bytes, hd := append([]byte(nil), p.payload(c, src, i)...), *p.header(c, src, i)
		p.putObjectLocked(c, src, i)
		step("mutant: freed early")
		copy(p.payload(c, dst, j), bytes)
		*p.header(c, dst, j) = hd
	} else {
		copy(p.payload(c, dst, j), p.payload(c, src, i))
		*p.header(c, dst, j) = *p.header(c, src, i)
	}
	step("migrate: copied")
	switch mutant {
	case "publish without the pin": // the bug of January 2016
		recordObj(w, to.unpinned())
	case "publish in two stores":
		recordObj(w, to.unpinned())
		step("mutant: half published")
		w.Or(pinBit)
	case "publish before copy":
	default:
		recordObj(w, to.pinned())
	}
	step("migrate: published")
	w.And(^uint64(pinBit))
	step("migrate: unpinned")
	if mutant != "free before publish" {
		p.putObjectLocked(c, src, i)
	}
	return true, nil
}

// freeWrong is what Free does with a pinned object, the handle first.
func (p *Pool) freeWrong(h Handle, c *class, l location) {
	p.handles.free(h)
	step("mutant: handle freed early")
	c.mu.Lock()
	p.putObjectLocked(c, l.run(), l.index())
	c.mu.Unlock()
}

// recordFresh publishes the place of a new object.
func recordFresh(w *atomic.Uint64, l location) {
	if invariant.Mutant == "keep the old bit" { // the version of record_obj that was turned down
		recordObj(w, l.unpinned()|w.Load()&pinBit)
		return
	}
	recordObj(w, l.unpinned())
}
