//go:build !invariants

package zsmalloc

import "sync/atomic"

// What the build tag invariants turns on; without it the compiler drops it all. See invariants_on.go.
const (
	invariants = false
	mutant     = ""
)

func step(string) {}

func (p *Pool) migrateWrong(*class, Handle, uint32, int, uint32) (bool, error) {
	panic("zsmalloc: no mutants here")
}

// recordFresh publishes the place of a new object.
func recordFresh(w *atomic.Uint64, l location) { recordObj(w, l.unpinned()) }
