package zpool

import "time"

// The policy of writeback, a function like decide: what the pool's writer does next, from what is seen and the settings alone.

// outflow is what the policy goes by.
type outflow struct {
	used, limit int64
	refused     bool    // stores are refused, or were until somebody wrote back
	pressure    float64 // percent of the time that somebody waited for memory
	flowing     bool    // pages have begun to be written because the pool was all but full, and it is not down yet
	ages        Ages    // of the pages in memory, in generations from now
	object      int64   // bytes of memory that a page takes, on average
	idle        uint8   // least age of pages that are idle by the settings
	after       uint8   // and of those that are to be written though memory is not short; 0: none
	raws        bool    // there are pages that do not compress, and those that are idle were not looked for in this generation
	short       int     // looks at all slots in a row that found less than was to be written
	tickable    bool    // the generation is old enough to be ended for want of idle pages
	vain        bool    // that was done before, for nothing, and is not to be tried again yet
	scarce      bool    // few extents are free
	uncleanable bool    // and no other is worth emptying
	spare       bool    // there are extents to be given back to the file system
}

type outAct uint8

const (
	outRest  outAct = iota
	outWrite        // up to bytes, of pages of the ages idle and raw
	outClean        // empty an extent
	outSweep        // give free extents back
	outTick         // end the generation, so that there are idle pages
)

type outPlan struct {
	act       outAct
	idle, raw uint8
	bytes     int64
	share     int           // percent of the time that may go to this
	rest      time.Duration // outRest
}

const (
	flowPercent  = 90 // of the limit: from here on pages are written, coldest first,
	ebbPercent   = 85 // until no more than this is used
	leastWrite   = 256 << 10
	mostWrite    = 8 << 20
	never        = 255                   // no page is so old
	restFar      = lookEvery             // when nothing needs to be written
	restNear     = 10 * time.Millisecond // when the pool is filling up
	calmOutShare = 20
	fewPages     = 64
	shortestTick = shortestGeneration
)

// decideOutflow says what the writer does next: it makes room in the file if it must; then it writes as much as the pool is too
// full, coldest first; then, in no haste, what is idle while memory is short, or for so long that the settings want it out.
func decideOutflow(v *outflow) outPlan {
	full := v.refused || v.used*100 >= v.limit*flowPercent || v.flowing && v.used*100 > v.limit*ebbPercent
	if v.scarce && !v.uncleanable {
		share := calmOutShare
		if full {
			share = 100
		}
		return outPlan{act: outClean, share: share}
	}
	switch {
	case full && v.vain:
		return outPlan{act: outRest, rest: restNear}
	case full:
		need := max(v.used-v.limit*ebbPercent/100, leastWrite)
		idle := v.coldest(need)
		if v.short > 0 && idle == 1 && v.tickable {
			return outPlan{act: outTick, share: 100}
		}
		return outPlan{act: outWrite, idle: idle, raw: min(idle, v.idle), bytes: min(need, mostWrite), share: 100}
	case v.pressure >= 1 && v.older(v.idle) >= fewPages && v.short == 0:
		return outPlan{act: outWrite, idle: v.idle, raw: v.idle, bytes: mostWrite, share: calmOutShare}
	case v.after > 0 && v.older(v.after) >= fewPages && v.short == 0:
		return outPlan{act: outWrite, idle: v.after, raw: min(v.after, v.idle), bytes: mostWrite, share: calmOutShare}
	case v.raws && v.used*100 >= v.limit*shortPercent:
		return outPlan{act: outWrite, idle: never, raw: v.idle, bytes: mostWrite, share: calmOutShare}
	case v.spare:
		return outPlan{act: outSweep, share: calmOutShare}
	case v.used*100 >= v.limit*shortPercent:
		return outPlan{act: outRest, rest: restNear}
	}
	return outPlan{act: outRest, rest: restFar}
}

// older returns how many pages are of an age or older.
func (v *outflow) older(age uint8) (n uint64) {
	for a := min(age, veryOld); a <= veryOld; a++ {
		n += v.ages[a]
	}
	return n
}

// coldest returns the least age of the coldest pages that take so much memory together. Each look at all slots that
// found less than was to be written halves it.
func (v *outflow) coldest(bytes int64) uint8 {
	age := uint8(veryOld)
	for sum := int64(0); age > 1; age-- {
		if sum += int64(v.ages[age]) * max(v.object, 1); sum >= bytes {
			break
		}
	}
	return max(age>>min(v.short, 7), 1)
}
