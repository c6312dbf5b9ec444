// Package workload touches more memory than there is and checks that every byte comes back.
//
//	region of N pages, more than the memory limit        bookkeeping: 2 bytes per page
//	┌────┬────┬────┬────┬─────────────────────────┐      ┌───┬───┬───┬───┬────┐
//	│ p0 │ p1 │ p2 │ p3 │ …                       │      │v 0│v 3│v 1│v 0│ …  │
//	└────┴────┴────┴────┴─────────────────────────┘      └───┴───┴───┴───┴────┘
//	  ▲ touch: one timed load (the fault) ─► compare with the page that pagegen makes for (p, v)
//	  └ 30 % of touches: v+1, and the page is written anew
//
// A run has three phases: fill (every page, version 0), touch (at random, for so many touches or so long), verify
// (every page). The order of the touches is a mode: random, scan, zipf; with fork, children run short runs of their own,
// one after the other, so that memory is freed again and again. Each thread owns a part of the region. Pages are never kept anywhere: they are made again to be
// compared, so that what must fit under the limit besides the region is a few hundred KiB.
//
// resident set: with Pool, the same run without a kernel in it. So many frames are kept; a clock picks the one to
// evict; it is stored to the pool, and loaded back when it is touched.
//
// A page that comes back wrong is a Failure with the page, the seed and the bytes; a run goes on after it, to count.
//
// Serve and Follow carry a run over a pipe, from the child that runs inside a memory cgroup to its parent.
package workload
