package cgroup

import (
	"errors"
	"os"
)

// Stats is what the kernel counts for a group and those below it. Sizes are in bytes.
type Stats struct {
	Limit       uint64 // 0: none
	Current     uint64 // in memory now, page cache and kernel memory included
	Peak        uint64 // the most ever; 0 where the kernel does not tell (version 2 before 5.19)
	Swap        uint64 // swapped out now, before compression
	MajorFaults uint64 // faults that waited for swap or a file
	OOMKills    uint64 // processes killed because the limit left no way out
}

// Stats reads the counters.
func (g *Group) Stats() (s Stats, err error) {
	names := [...]string{"memory.max", "memory.current", "memory.peak", "memory.stat", "memory.events"}
	keys := [...]string{"pgmajfault", "swap"}
	if g.version == 1 {
		names = [...]string{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.stat", "memory.oom_control"}
		keys = [...]string{"total_pgmajfault", "total_swap"}
	}
	var errs [6]error
	s.Limit, errs[0] = number(g.dir, names[0])
	s.Current, errs[1] = number(g.dir, names[1])
	s.Peak, errs[2] = number(g.dir, names[2])
	if errors.Is(errs[2], os.ErrNotExist) {
		errs[2] = nil
	}
	stat, err := keyed(g.dir, names[3], keys[:]...)
	errs[3] = err
	s.MajorFaults, s.Swap = stat[0], stat[1]
	kills, err := keyed(g.dir, names[4], "oom_kill")
	errs[4] = err
	s.OOMKills = kills[0]
	if g.version == 2 {
		s.Swap, errs[5] = number(g.dir, "memory.swap.current")
		if errors.Is(errs[5], os.ErrNotExist) { // swap accounting is off
			errs[5] = nil
		}
	}
	return s, errors.Join(errs[:]...)
}
