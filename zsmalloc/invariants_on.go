//go:build invariants

package zsmalloc

// invariants turns on checks that cost something: freed objects are poisoned, and Check runs more often.
const invariants = true
