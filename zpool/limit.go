package zpool

import (
	"errors"

	"github.com/zswapd/zswapd/internal/arena"
)

// admit reports whether pages are taken at present: always, but for the time between hitting the limit and being back
// at the accept threshold (zswap's pool_limit_hit and accept_threshold_percent).
//
// While pages are packed in the background, that is told to be full a little earlier, for packing takes memory before it
// gives some back.
func (p *Pool) admit() bool {
	if !p.full.Load() {
		used, limit := p.zs.InUse(), p.a.Budget().Limit()
		p.tiers.alarm.look(used, limit)
		if room := p.tiers.headroom.Load(); room == 0 || used <= limit-room {
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

// aboveThreshold reports whether a pool that was full still is.
func (p *Pool) aboveThreshold() bool {
	limit := p.a.Budget().Limit()
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
	p.tiers.alarm.refused(p.zs.InUse(), p.a.Budget().Limit())
	p.limitHit.Add(1)
	p.full.Store(true)
	p.zs.Urge()
	p.writeback.wake()
	return ErrFull
}

// commitSlot makes the word of a slot usable. Frames that the allocator keeps ready are given up for it.
func (p *Pool) commitSlot(slot uint64) error {
	err := p.slots.commit(slot)
	if errors.Is(err, arena.ErrLimit) && p.zs.Trim() > 0 {
		err = p.slots.commit(slot)
	}
	return err
}
