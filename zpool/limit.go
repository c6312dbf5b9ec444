package zpool

import (
	"errors"
	"math"

	"github.com/zswapd/zswapd/internal/arena"
)

// admit reports whether pages are taken at present: always, but for the time between hitting the limit and being back
// at the accept threshold (zswap's pool_limit_hit and accept_threshold_percent).
//
// While pages are packed in the background, that is told to be full a little earlier, for packing takes memory before it
// gives some back.
func (p *Pool) admit() bool {
	if !p.full.Load() {
		p.tiers.alarm.look(p.zs.InUse(), p.limit.Load())
		if p.roomy() {
			return true
		}
		_ = p.refused(arena.ErrLimit)
		return false
	}
	if p.aboveThreshold() {
		p.zs.Urge()
		return false
	}
	p.full.Store(false)
	return true
}

// roomy reports whether there is more room than is left for packing.
func (p *Pool) roomy() bool {
	room := p.tiers.headroom.Load()
	return room == 0 || p.zs.InUse() <= p.limit.Load()-room
}

// aboveThreshold reports whether a pool that was full still is.
func (p *Pool) aboveThreshold() bool {
	limit := p.limit.Load()
	return p.zs.InUse() > min(limit/100*p.acceptPercent(), limit-p.tiers.headroom.Load())
}

// flowPercentAccept is the accept threshold while pages are being written back: they make room as fast as it can be had.
const flowPercentAccept = 98

func (p *Pool) acceptPercent() int64 {
	n := int64(p.settings.Load().AcceptThresholdPercent)
	if p.writeback.flow.Load() {
		n = max(n, flowPercentAccept)
	}
	return n
}

// Full reports whether the pool has hit its limit and is not back at its accept threshold.
func (p *Pool) Full() bool { return p.full.Load() && p.aboveThreshold() }

// refused turns an error of the allocator into one of the pool's, and notes that the limit was hit.
func (p *Pool) refused(err error) error {
	if !errors.Is(err, arena.ErrLimit) {
		return ErrNoMemory
	}
	p.tiers.alarm.refused(p.zs.InUse(), p.limit.Load())
	p.limitHit.Add(1)
	p.full.Store(true)
	p.zs.Urge()
	p.writeback.wake()
	return ErrFull
}

// commitSlot makes the word of a slot usable: its frame is one more of those that stores take. Frames that the allocator keeps ready
// are given up for it.
func (p *Pool) commitSlot(slot uint64) error {
	if p.slots.committed(slot) {
		return nil
	}
	if !p.admit() {
		return ErrFull
	}
	err := p.slots.commit(slot)
	for errors.Is(err, arena.ErrLimit) && p.zs.MakeRoom() {
		err = p.slots.commit(slot)
	}
	if err != nil {
		return p.refused(err)
	}
	return nil
}

// limitMemory makes the limit that was set hold for all memory. If more than that is used, because it was lowered, the hard limit
// comes down step by step: while pages are packed it is as much above what is used as packing takes before it gives more back.
// excess: it may begin so. Preconditions: tiers.mu is held.
func (p *Pool) limitMemory(excess bool) {
	limit, b, room := p.limit.Load(), p.a.Budget(), p.tiers.headroom.Load()
	hard, most := limit, b.Limit()
	if excess {
		most = math.MaxInt64
	}
	if room > 0 && most > limit {
		hard = max(limit, min(most, p.zs.InUse()+room))
	}
	if hard != b.Limit() {
		b.SetLimit(hard)
	}
}
