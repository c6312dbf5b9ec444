//go:build invariants

package zsmalloc

import "sync/atomic"

// invariants turns on checks that cost something, and the hooks and wrong versions below, which exist for tests:
// freed objects are poisoned, and an unpin of what is not pinned panics.
const invariants = true

// onStep, if set, is called between any two steps of a migration, with the class lock and perhaps the pin held.
var onStep func(name string)

func step(name string) {
	if onStep != nil {
		onStep(name)
	}
}

// mutant names the wrong version of the protocol that is in force, "" for none. The tests must catch each.
var mutant string

// migrateWrong is migrateLocked with one mistake.
func (p *Pool) migrateWrong(c *class, h Handle, src uint32, i int, dst uint32) (moved bool, err error) {
	w := p.handles.word(h)
	old := makeLocation(c.index, src, i)
	for !tryPin(w, old.unpinned()) {
		if mutant != "wait under the lock" {
			return false, nil
		}
		step("waiting")
		backoff(0)
	}
	step("pinned")
	j, err := p.takeFromLocked(c, dst, p.zspageAt(c.lane, dst))
	if err != nil {
		unpin(w)
		return false, err
	}
	step("taken")
	to := makeLocation(c.index, dst, j)
	if mutant == "publish before copy" {
		recordObj(w, to.pinned())
		step("published")
	}
	if mutant == "free before publish" {
		bytes, hd := append([]byte(nil), p.payload(c, src, i)...), *p.header(c, src, i)
		p.putObjectLocked(c, src, i)
		step("freed")
		copy(p.payload(c, dst, j), bytes)
		*p.header(c, dst, j) = hd
	} else {
		copy(p.payload(c, dst, j), p.payload(c, src, i))
		*p.header(c, dst, j) = *p.header(c, src, i)
	}
	step("copied")
	switch mutant {
	case "publish without the pin": // the bug of January 2016
		recordObj(w, to.unpinned())
	case "publish before copy":
	default:
		recordObj(w, to.pinned())
	}
	step("published")
	w.And(^uint64(pinBit))
	step("unpinned")
	if mutant != "free before publish" {
		p.putObjectLocked(c, src, i)
	}
	return true, nil
}

// recordFresh publishes the place of a new object.
func recordFresh(w *atomic.Uint64, l location) {
	if mutant == "keep the old bit" { // the version of record_obj that was turned down
		recordObj(w, l.unpinned()|w.Load()&pinBit)
		return
	}
	recordObj(w, l.unpinned())
}
