//go:build invariants

package invariant

import "sync/atomic"

// On turns on checks that cost something: freed objects are poisoned, an unpin of what is not pinned panics.
const On = true

// Mutant names the wrong version of the code that is in force, "" for none. A test sets it while nobody else runs.
var Mutant string

var onStep atomic.Pointer[func(name string)]

// OnStep makes Step call f, nil for nothing. f runs with whatever locks and pins its place has, on every goroutine
// that comes by.
func OnStep(f func(name string)) {
	if f == nil {
		onStep.Store(nil)
		return
	}
	onStep.Store(&f)
}

// Step stands after a step, named by what has just been done, that changed what the next process would find.
func Step(name string) {
	if f := onStep.Load(); f != nil {
		(*f)(name)
	}
}
