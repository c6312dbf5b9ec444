package doctor

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
)

func checkZswap(f *Facts, c *config.Config) []Finding {
	const name, dir = "zswap", "/sys/module/zswap/parameters/"
	switch {
	case f.Zswap && !c.Swap.BehindZswap:
		return one(name, Problem, "echo N > "+dir+"enabled, and zswap.enabled=0 on the kernel's command line; or, if it is meant to be there, configs/behind-zswap.toml",
			"the kernel's zswap is on: it compresses pages before we do, and those that come here were compressed, decompressed and are compressed again")
	case !f.Zswap && c.Swap.BehindZswap:
		return one(name, Advice, "echo Y > "+dir+"enabled", "swap.behind_zswap = true, and the kernel's zswap is off: pages come straight to a pool that is set up for cold ones")
	case f.Zswap && !f.ZswapShrinker:
		return one(name, Advice, "echo Y > "+dir+"shrinker_enabled", "the kernel's zswap is on, as it should; its shrinker is off, so cold pages leave it only when it is full")
	case f.Zswap && f.ZswapPercent > 0 && int64(f.ZswapPercent)*f.RAM/100+c.PoolLimit() > f.RAM*3/5:
		return one(name, Advice, "echo 20 > "+dir+"max_pool_percent, or less for pool.max_pool_percent", "its pool (%d %% of the RAM) and ours (%s) could take more than 60 %% of the RAM together", f.ZswapPercent, report.Bytes(c.PoolLimit()))
	case f.Zswap:
		return one(name, OK, "", "the kernel's zswap is on, as swap.behind_zswap says")
	}
	return one(name, OK, "", "the kernel's zswap is off")
}

// isOurs reports whether a swap area is the device of a living zswapd.
func (f *Facts) isOurs(a swapdev.Area) bool {
	return slices.ContainsFunc(f.Runs, func(r swapdev.Found) bool { return r.Owned && names(&r.Record, a) }) ||
		f.RunsProblem != "" && f.Service != nil && isDoor(a) && !f.isLeft(a) // most likely
}

// isDoor reports whether a swap area is on a device of a kind that we have.
func isDoor(a swapdev.Area) bool {
	base := filepath.Base(a.Name)
	return strings.HasPrefix(base, "ublkb") || strings.HasPrefix(base, "loop")
}

// isLeft reports whether it is the device of a dead one: nobody serves it.
func (f *Facts) isLeft(a swapdev.Area) bool {
	return slices.ContainsFunc(f.Runs, func(r swapdev.Found) bool { return !r.Owned && names(&r.Record, a) })
}

// names reports whether a record names the device of an area.
func names(r *swapdev.Record, a swapdev.Area) bool {
	base := filepath.Base(a.Name)
	return slices.ContainsFunc([]string{r.Loop, r.UBLK}, func(device string) bool { return device != "" && filepath.Base(device) == base })
}

// quote makes one word of a path for a shell.
func quote(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@", r))
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func checkSwaps(f *Facts, c *config.Config) (all []Finding) {
	const name = "swap"
	if f.SwapsProblem != "" {
		return one(name, Problem, "boot a kernel with CONFIG_SWAP, which has /proc/swaps", "it cannot be seen which swap is on: %s", f.SwapsProblem)
	}
	ours := c.Swap.Priority
	for _, a := range f.Swaps {
		if f.isOurs(a) {
			ours = a.Priority
			all = append(all, one(name, OK, "", "%s is ours, priority %d", a.Name, a.Priority)...)
		}
	}
	for _, a := range f.Swaps {
		path := quote(a.Name)
		switch zram := strings.HasPrefix(filepath.Base(a.Name), "zram"); {
		case f.isOurs(a):
		case f.isLeft(a):
			all = append(all, one(name, Problem, cleanUp, "%s, priority %d, is on and nobody serves it: who needs a page of it waits, or is told that it is lost", a.Name, a.Priority)...)
		case zram:
			all = append(all, one(name, Problem, "swapoff "+path+"; systemctl mask systemd-zram-setup@"+filepath.Base(a.Name)+", or remove zram-generator",
				"%s, priority %d: zram beside us is a second compressed pool, which takes memory that ours does not count", a.Name, a.Priority)...)
		case a.Priority == ours:
			all = append(all, one(name, Problem, "swapoff "+path+" && swapon "+path+"; in /etc/fstab, take pri= away", "%s has our priority, %d: every other page goes there", a.Name, ours)...)
		case a.Priority > ours:
			all = append(all, one(name, Problem, "swapoff "+path+" && swapon "+path+"; in /etc/fstab, take pri= away", "%s, priority %d, is filled before ours, %d", a.Name, a.Priority, ours)...)
		default:
			all = append(all, one(name, Note, "", "%s, priority %d, takes what does not fit into ours: the pages that come last, not the coldest", a.Name, a.Priority)...)
		}
	}
	if all == nil {
		all = one(name, OK, "", "no other swap is on")
	}
	return all
}
