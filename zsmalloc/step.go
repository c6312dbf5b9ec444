package zsmalloc

import "github.com/zswapd/zswapd/internal/invariant"

// step stands wherever the store has just changed, or is about to, so that tests can stop or kill the process there.
// name says who it is and what has just been done; no two calls have the same name,
// and zpool's TestCrashAtEachStep must be able to get there.
func step(name string) { invariant.Step(name) }
