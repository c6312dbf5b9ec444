package zpool

import (
	"errors"

	"github.com/zswapd/zswapd/internal/arena"
)

// admit reports whether pages are taken at present: always, but for the time between hitting the limit and being back
// at the accept threshold (zswap's pool_limit_hit and accept_threshold_percent).
func (p *Pool) admit() bool {
	if !p.full.Load() {
		return true
	}
	if p.aboveThreshold() {
		p.zs.Urge()
		return false
	}
	p.full.Store(false)
	return true
}

func (p *Pool) aboveThreshold() bool { return p.zs.InUse() > p.a.Budget().Limit()/100*p.accept.Load() }

// Full reports whether the pool has hit its limit and is not back at its accept threshold.
func (p *Pool) Full() bool { return p.full.Load() && p.aboveThreshold() }

// refused turns an error of the allocator into one of the pool's, and notes that the limit was hit.
func (p *Pool) refused(err error) error {
	if !errors.Is(err, arena.ErrLimit) {
		return ErrNoMemory
	}
	p.limitHit.Add(1)
	p.full.Store(true)
	p.zs.Urge()
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
