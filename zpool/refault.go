package zpool

import (
	"sync/atomic"
	"time"
)

const (
	// refaultRest is how long a region whose page came back from the backing file is not written back again.
	refaultRest = 45 * time.Second
	// regionSlots is the size of a region.
	regionSlots = 64
	refaultSize = 4096
)

// refaults are the regions of which a page came back from the backing file of late. Two regions that fall on one entry
// chase each other out; then one is written back sooner.
type refaults [refaultSize]atomic.Uint64 // region + 1 << 32 | seconds since epoch

func (r *refaults) entry(region uint64) *atomic.Uint64 { return &r[mix(region)%refaultSize] }

// hot reports whether a page that is being loaded from the backing file was loaded of late as well: then it is to stay in
// memory.
func (b *writeback) hot(w word) bool { return uint32(b.p.clock.age(w)) < b.hotAge.Load() }

// note says that a page of a slot came back.
func (r *refaults) note(slot uint64, now time.Duration) {
	region := slot / regionSlots
	r.entry(region).Store((region+1)<<32 | uint64(uint32(now/time.Second)))
}

// recent reports whether one of the region's pages came back within the last refaultRest.
func (r *refaults) recent(slot uint64, now time.Duration) bool {
	region := slot / regionSlots
	w := r.entry(region).Load()
	return w>>32 == region+1 && uint32(now/time.Second)-uint32(w) <= uint32(refaultRest/time.Second)
}
