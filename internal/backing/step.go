package backing

import "github.com/zswapd/zswapd/internal/invariant"

// step stands where the state or the file has just changed; see its namesake in zpool.
func step(name string) { invariant.Step(name) }
