package fuse

import "time"

// minSpin is the shortest window: below it, spinning costs as much as the poll that it saves.
const minSpin = 4 * time.Microsecond

// wakeCost is what a blocked wait may take longer than the request did, for waking a halted CPU.
const wakeCost = 30 * time.Microsecond

// spin adapts how long to spin to what waits turned out to take. A wait that spinning ended changes nothing.
type spin struct {
	max    time.Duration
	window time.Duration // 0 = block at once
}

// learn takes the length of a wait that blocked.
func (s *spin) learn(waited time.Duration) {
	if waited <= s.max+wakeCost { // spinning would have met the request: traffic flows
		s.window = s.max
		return
	}
	if s.window /= 2; s.window < minSpin {
		s.window = 0
	}
}
