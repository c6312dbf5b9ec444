package serve

import (
	"path/filepath"

	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// spareBytes of available memory must be left when everything is back.
const spareBytes = 64 << 20

// room says whether there is room for so many bytes that come back from a device: in memory, and below the limits of the cgroups that
// they belong to, unless other swap takes what is too much there.
func room(used uint64, device string) error {
	free, err := swapdev.MemAvailable()
	if err == nil && used+spareBytes > free {
		err = &swapdev.NoRoomError{Used: used, Available: free, Reserve: spareBytes}
	}
	if err != nil || used == 0 {
		return err
	}
	c, ok, err := cgroup.MostCramped()
	if err != nil || !ok {
		return nil // it is only a look ahead
	}
	others, err := freeBeside(device)
	if err == nil && min(c.Lacks(), used) > others {
		err = &swapdev.NoRoomError{Cgroup: c.Dir, Used: c.Swap, Available: c.Room}
	}
	return err
}

// freeBeside returns what is free on other swap devices.
func freeBeside(device string) (n uint64, err error) {
	all, err := swapdev.Areas("/proc/swaps")
	for _, a := range all {
		if filepath.Base(a.Name) != filepath.Base(device) {
			n += a.Size - a.Used
		}
	}
	return n, err
}
