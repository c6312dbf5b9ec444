package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Cramped is a group with a limit that leaves no room for what is swapped out of it: when that must come back, the kernel kills
// processes of the group, however much memory the machine has. Sizes are in bytes.
type Cramped struct {
	Dir   string // of the group
	Limit uint64
	Swap  uint64 // swapped out, to whatever device
	Room  uint64 // below the limit, when the page cache has given way; less than Swap
}

// Lacks returns the bytes there is no room for.
func (c Cramped) Lacks() uint64 { return c.Swap - c.Room }

// MostCramped returns, of all groups that can be seen, the one that lacks most room; ok is false if none lacks any, or nobody counts.
func MostCramped() (c Cramped, ok bool, err error) { return host.mostCramped() }

func (t tree) mostCramped() (most Cramped, ok bool, err error) {
	h, err := t.find()
	if err != nil {
		return most, false, nil // no groups, no limits
	}
	err = filepath.WalkDir(h.mount, func(dir string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			var c Cramped
			if c, err = cramped(dir, h.version); err == nil && c.Limit > 0 && c.Swap > c.Room && (!ok || c.Lacks() > most.Lacks()) {
				most, ok = c, true
			}
		}
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) { // the topmost group, one without the controller, or one just removed
			return nil
		}
		return err
	})
	return most, ok, err
}

// cramped looks at one group, with those below it. In version 1 a page that has come back is not counted as swapped out any more,
// although its copy may still be there; in version 2 it is counted on both sides.
func cramped(dir string, version int) (c Cramped, err error) {
	c.Dir = dir
	limit, current, keys := "memory.limit_in_bytes", "memory.usage_in_bytes", []string{"total_active_file", "total_inactive_file", "total_swap"}
	if version == 2 {
		limit, current, keys = "memory.max", "memory.current", []string{"active_file", "inactive_file", "slab_reclaimable", "swapcached"}
	}
	if c.Limit, err = number(dir, limit); err != nil || c.Limit == 0 {
		return c, err
	}
	used, err := number(dir, current)
	if err != nil {
		return c, err
	}
	stat, err := keyed(dir, "memory.stat", keys...)
	if err != nil {
		return c, err
	}
	file := stat[0] + stat[1]
	if version == 1 {
		c.Swap = stat[2]
	} else {
		file += stat[2]
		swap, err := number(dir, "memory.swap.current")
		if err != nil {
			return c, err
		}
		c.Swap = swap - min(swap, stat[3])
	}
	used -= min(used, file)
	c.Room = c.Limit - min(c.Limit, used)
	return c, nil
}
