//go:build !invariants

package zsmalloc

import "sync/atomic"

// The wrong versions of the protocol are in mutants_on.go; without the tag invariants there are none.

func (p *Pool) migrateWrong(*class, Handle, uint32, int, uint32) (bool, error) {
	panic("zsmalloc: no mutants here")
}

func (p *Pool) freeWrong(Handle, *class, location) { panic("zsmalloc: no mutants here") }

// recordFresh publishes the place of a new object.
func recordFresh(w *atomic.Uint64, l location) { recordObj(w, l.unpinned()) }
