//go:build !invariants

package zsmalloc

const invariants = false
