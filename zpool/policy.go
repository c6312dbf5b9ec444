package zpool

import "time"

// The policy of the background: what to do next, and how hard. It is a function of what is seen and of the settings alone;
// tiers sees, does, and rests.

// view is what the policy goes by.
type view struct {
	used, limit  int64         // bytes; frames that are ready for use again are not used
	full         bool          // stores are refused
	urged        bool          // somebody has asked for memory since compaction last did all it could
	pressure     float64       // percent of the time that somebody waited for memory; 0 if nobody knows
	swept        bool          // the sweep has seen all slots since the generation began
	sweepTime    time.Duration // that it took to look at all of them, packing apart
	generation   time.Duration // its age
	freeable     int64         // frames that compaction could free
	compacting   bool          // compaction has begun, and not come to its end
	ready        int64         // frames that are ready for use again
	readyMost    int64         // how many of them are sensible
	readyUnasked time.Duration // how long nobody has asked for one
	aging        bool          // somebody needs to know what is idle: there is a codec for it
}

// step is what to do next.
type act uint8

const (
	actRest    act = iota
	actTick        // begin a generation
	actSweep       // look at budget slots; pack the pages that are idle
	actCompact     // copy budget bytes
	actTrim        // give back the ready frames but budget
)

// plan is what the policy decides.
type plan struct {
	act    act
	budget int
	idle   time.Duration // actSweep: pages that have not been touched for so long are packed
	share  int           // percent of a CPU that the work may take: the rest of the time is slept
	rest   time.Duration // actRest: how long
}

// effort is how hard the background works.
type effort uint8

const (
	calm  effort = iota // nobody lacks memory
	short               // the system does, or the pool soon will
	full                // stores are refused, or soon will be
)

// The pool is short of memory when it has used so many percent of its limit, and all but full when so many.
const (
	shortPercent = 80
	fullPercent  = 95
)

func (v *view) effort() effort {
	switch {
	case v.full || v.used*100 >= v.limit*fullPercent:
		return full
	case v.pressure >= 1 || v.used*100 >= v.limit*shortPercent:
		return short
	}
	return calm
}

const (
	cpuCalm, cpuShort, cpuFull = 10, 30, 80 // percent of a CPU
	cpuCompact                 = 20         // at least, for compaction
	muchWaste, muchReady       = 3, 2       // times of what is worth while, or sensible, that is done before anything else
	sweepSlots                 = 64 << 10   // looked at in a step: some 100 µs
	sweepShare                 = 100        // looking at slots takes one part in so many of the time
	minFreeable                = 16         // frames; fewer are not worth a look
	worthFreeing               = 64         // frames, when the pool is full
	shortestGeneration         = 10 * time.Millisecond
	longestWhenFull            = 250 * time.Millisecond // of a generation
	trimIdle                   = 2 * time.Second
)

// generationLength is how long generations are when nobody lacks memory: idle pages are found idle_after to 1.25 times
// idle_after after their last use.
func (s *Settings) generationLength() time.Duration { return max(s.IdleAfter/4, shortestGeneration) }

// decide says what to do next: compaction first when the pool is full and it would free much, or a sweep of many pages has
// left much behind; then aging and packing, as long as there is something unseen in this generation; then compaction, if it is
// worth it; then the next generation.
func decide(v *view, s *Settings) plan {
	e := v.effort()
	share := [...]int{calm: cpuCalm, short: cpuShort, full: cpuFull}[e]
	idle := [...]time.Duration{calm: s.IdleAfter, short: s.IdleAfter / 4, full: 0}[e]
	length := s.generationLength()
	if e == full {
		length = min(max(length/64, shortestGeneration), longestWhenFull)
	}
	length = max(length, sweepShare*v.sweepTime)
	switch {
	case (e == full || v.urged) && v.freeable >= worthFreeing:
		return plan{act: actCompact, budget: 4 * compactBudget, share: cpuFull}
	case v.worthCompacting(muchWaste * s.MinWastePercent):
		return plan{act: actCompact, budget: compactBudget, share: max(share, cpuCompact)}
	case v.ready > muchReady*v.readyMost:
		return plan{act: actTrim, budget: int(v.readyMost), share: 100}
	case v.aging && !v.swept:
		return plan{act: actSweep, budget: sweepSlots, idle: idle, share: share}
	case v.urged && v.freeable > 0, v.worthCompacting(s.MinWastePercent):
		return plan{act: actCompact, budget: compactBudget, share: max(share, cpuCompact)}
	case v.ready > v.readyMost, v.ready > 0 && v.readyUnasked >= trimIdle:
		keep := v.readyMost / 2
		if v.readyUnasked >= trimIdle {
			keep = 0
		}
		return plan{act: actTrim, budget: int(keep), share: 100}
	case v.aging && v.generation >= length:
		return plan{act: actTick, share: 100}
	case v.aging:
		return plan{act: actRest, rest: length - v.generation}
	}
	return plan{act: actRest, rest: trimIdle}
}

// worthCompacting reports whether what compaction would free is worth its copies: percent of the memory, and then on until
// half of that is left.
func (v *view) worthCompacting(percent int) bool {
	if v.compacting {
		percent /= 2
	}
	return v.freeable >= minFreeable && v.freeable*PageSize*100 >= int64(percent)*v.used
}
