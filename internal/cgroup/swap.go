package cgroup

import (
	"errors"
	"os"
	"strconv"
)

// ForbidSwap keeps the group's pages from being swapped out to any device: the limit is then all the memory there is.
func (g *Group) ForbidSwap() error {
	if g.version == 2 {
		err := put(g.dir, "memory.swap.max", "0")
		if errors.Is(err, os.ErrNotExist) {
			return errors.New("the kernel does not count swap by cgroup: boot with swapaccount=1")
		}
		return explain("set memory.swap.max", g.dir, err)
	}
	s, err := g.Stats()
	if err != nil {
		return err
	}
	// Memory and swap together may take as much as memory alone. Without swap accounting, a swappiness of 0 does.
	err = put(g.dir, "memory.memsw.limit_in_bytes", strconv.FormatUint(s.Limit, 10))
	if errors.Is(err, os.ErrNotExist) {
		return explain("set memory.swappiness", g.dir, put(g.dir, "memory.swappiness", "0"))
	}
	return explain("set memory.memsw.limit_in_bytes", g.dir, err)
}
