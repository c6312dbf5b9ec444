package arena

import "sync/atomic"

// Budget counts committed bytes against a hard limit. Arenas may share one.
// All methods may be called concurrently. The zero value has the limit 0 and grants nothing.
type Budget struct {
	limit, used, peak atomic.Int64 // bytes
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget {
	b := new(Budget)
	b.limit.Store(limit)
	return b
}

// Take reserves n bytes, or none and returns false when they would exceed the limit.
func (b *Budget) Take(n int64) bool {
	used := b.used.Add(n)
	if used > b.limit.Load() {
		b.used.Add(-n)
		return false
	}
	for old := b.peak.Load(); used > old && !b.peak.CompareAndSwap(old, used); old = b.peak.Load() {
	}
	return true
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	if b.used.Add(-n) < 0 {
		panic("arena: more memory given back than was taken")
	}
}

// adopt counts n bytes that are there already, whatever the limit.
func (b *Budget) adopt(n int64) {
	used := b.used.Add(n)
	b.peak.Store(max(used, b.peak.Load()))
}

// Used returns the bytes taken, Peak the most there ever were, Limit the bound.
func (b *Budget) Used() int64  { return b.used.Load() }
func (b *Budget) Peak() int64  { return b.peak.Load() }
func (b *Budget) Limit() int64 { return b.limit.Load() }

// SetLimit changes the limit. What is used beyond it stays; nothing more is granted.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(limit) }
