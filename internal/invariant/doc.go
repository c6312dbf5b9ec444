// Package invariant is what the build tag invariants turns on: costly checks, hooks between the steps that matter when a
// process is killed, and wrong versions of code, which the tests must catch. Without the tag it is constants and empty
// functions, which the compiler drops.
package invariant
