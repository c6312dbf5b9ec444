package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// HoldSwap keeps more of the group's pages from being swapped out, until undo. What is out stays, and comes back when it is used.
func (g *Group) HoldSwap() (undo func() error, err error) {
	name, dirs := "memory.swap.max", []string{g.dir}
	if g.version == 1 { // there each group is asked for itself
		name, dirs = "memory.swappiness", g.dirs()
	}
	before := map[string]string{}
	undo = func() (err error) {
		for dir, value := range before {
			if e := put(dir, name, value); !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, explain("set "+name, dir, e))
			}
		}
		return err
	}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = put(dir, name, "0")
		}
		if dir != g.dir && errors.Is(err, os.ErrNotExist) {
			continue // removed just now
		}
		if err != nil {
			return nil, errors.Join(explain("set "+name, dir, err), undo())
		}
		before[dir] = strings.TrimSpace(string(text))
	}
	return undo, nil
}
