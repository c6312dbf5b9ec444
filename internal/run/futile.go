package run

import (
	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/zpool"
)

// A full pool refuses pages, and the kernel keeps them. If it then ends a program, there is room. But it does not as long as it finds one
// page now and then that is in the pool already and in memory as well, unchanged: it drops that one, and the program reads it again.
// So for minutes nearly all that anybody does is to offer pages that are refused.
//
// futile ends that: it tells when it has gone on for a while, and then the command's pages are not swapped out until there is room.
type futile struct {
	pool  *zpool.Pool
	group *cgroup.Group
	watch refusals
	undo  func() error // while it is so; else nil
}

// look is called once a second. It reports whether swapping out has just been ended.
func (f *futile) look() (ended bool, err error) {
	st, full := f.pool.Stats(), f.pool.Full()
	if f.undo != nil {
		if !full {
			err, f.undo = f.undo(), nil
		}
		return false, err
	}
	if !f.watch.look(full, st.RejectedFull, st.Stores+st.Loads) {
		return false, nil
	}
	f.undo, err = f.group.HoldSwap()
	return err == nil, err
}

// What refusals go by. Of a program that has just enough room pages come and go: hundreds a second, with 30,000 that are refused. Of
// one that is stuck there are a handful.
const (
	manyRefusals  = 5000 // a second
	refusedShare  = 500  // pages refused for each one stored or loaded
	futileSeconds = 10
)

// refusals tells from what becomes of pages whether it is of no use to offer them.
type refusals struct {
	refused, moved uint64 // at the last look
	seconds        int
}

// look is called once a second, with whether the pool is full, and the pages that it has refused, and stored or loaded, since it was made.
func (r *refusals) look(full bool, refused, moved uint64) bool {
	out, did := refused-r.refused, moved-r.moved
	r.refused, r.moved = refused, moved
	if !full || out < manyRefusals || did > out/refusedShare {
		r.seconds = 0
		return false
	}
	r.seconds++
	return r.seconds >= futileSeconds
}
