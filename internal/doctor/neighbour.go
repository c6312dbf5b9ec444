package doctor

import (
	"strings"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// startBytes is what the daemon takes before it holds a page, beside the table of its pages: itself and its reserve.
const startBytes = 64 << 20

func checkRoom(f *Facts, c *config.Config) (all []Finding) {
	const name = "room"
	need := c.Swap.Size/zpool.PageSize*8 + startBytes
	switch limit := c.PoolLimit(); {
	case f.Service != nil:
		all = one(name, OK, "", "the pool may take %s", report.Bytes(limit))
	case f.Available < need:
		all = one(name, Problem, "end some programs, or set a smaller swap.size in "+config.DefaultPath, "%s of memory are available; to start takes %s", report.Bytes(f.Available), report.Bytes(need))
	default:
		all = one(name, OK, "", "%s of memory are available, the pool may take %s", report.Bytes(f.Available), report.Bytes(limit))
	}
	if fixed := f.HugePages + c.PoolLimit(); f.HugePages > 0 && fixed > f.RAM*3/4 {
		all = append(all, one(name, Advice, "less for pool.max_pool_percent, or for vm.nr_hugepages", "huge pages (%s) and a full pool (%s) are more than three quarters of the RAM: neither can be swapped out",
			report.Bytes(f.HugePages), report.Bytes(c.PoolLimit()))...)
	}
	return all
}

// cleanUp mends what dead processes have left.
const cleanUp = "zswapd run -- true, which cleans up first"

func checkLeftovers(f *Facts, _ *config.Config) (all []Finding) {
	const name, dir = "leftovers", swapdev.DefaultDir
	if f.StateOpen {
		all = append(all, one(name, Problem, "chown root:root "+dir+" && chmod go-w "+dir, "others than root may write in %s: records there are acted upon as root", dir)...)
	}
	if f.RunsProblem != "" {
		all = append(all, one(name, Note, "", "not all records could be read: %s", f.RunsProblem)...)
	}
	for _, r := range f.Runs {
		if !r.Owned {
			all = append(all, one(name, Advice, cleanUp, "process %d is dead and has left %s", r.Record.PID, leftBy(&r.Record))...)
		}
	}
	if all == nil {
		all = one(name, OK, "", "nothing is left of dead processes")
	}
	return all
}

// leftBy names what a record names.
func leftBy(r *swapdev.Record) string {
	var left []string
	for _, s := range []string{r.Loop, r.UBLK, r.Mount, r.Cgroup, r.File, r.ZRAM} {
		if s != "" {
			left = append(left, s)
		}
	}
	if left == nil {
		return "a record"
	}
	return strings.Join(left, ", ")
}

// checkOOM: who ends programs for lack of memory must have seen swap when it begins, and must not choose us. All but
// systemd-oomd pass by those with oom_score_adj -1000.
func checkOOM(f *Facts, _ *config.Config) (all []Finding) {
	const name = "oomd"
	for _, d := range f.OOM {
		switch {
		case d != "systemd-oomd":
			all = append(all, one(name, OK, "", "%s runs; it passes us by because of our oom_score_adj", d)...)
		case f.Unit == "":
			all = append(all, one(name, Advice, "install zswapd.service, and systemctl enable --now zswapd", "systemd-oomd runs, and our unit, which is ordered before it and left out of its choice, is not installed")...)
		case !omitted(f.Unit):
			all = append(all, one(name, Problem, "systemctl edit zswapd: [Service], ManagedOOMPreference=omit", "systemd-oomd may choose the daemon: the unit does not say otherwise")...)
		case !ordered(f.Unit):
			all = append(all, one(name, Advice, "systemctl edit zswapd: [Unit], Before=systemd-oomd.service", "systemd-oomd may start before there is swap, and then looks at pressure only")...)
		default:
			all = append(all, one(name, OK, "", "systemd-oomd runs; the unit is ordered before it and left out of its choice")...)
		}
	}
	if all == nil {
		all = one(name, OK, "", "nobody but the kernel ends programs for lack of memory")
	}
	return all
}

// omitted reports whether the unit is left out of systemd-oomd's choice: of lines that say so, the last one counts.
func omitted(unit string) (ok bool) {
	for line := range strings.Lines(unit) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "ManagedOOMPreference="); found {
			ok = value == "omit"
		}
	}
	return ok
}

func ordered(unit string) bool {
	for line := range strings.Lines(unit) {
		if strings.HasPrefix(line, "Before=") && strings.Contains(line, "systemd-oomd.service") {
			return true
		}
	}
	return false
}

func checkCgroup(f *Facts, _ *config.Config) []Finding {
	const name = "cgroup"
	switch {
	case f.CgroupV2 && f.CgroupMemory:
		return one(name, OK, "", "version 2")
	case f.CgroupV2:
		return one(name, Advice, "cgroup_enable=memory on the kernel's command line, and no cgroup_disable=memory",
			"version 2, without the controller of memory: MemoryMin= and MemorySwapMax= of the unit do nothing")
	}
	return one(name, Advice, "systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
		"no version 2 at /sys/fs/cgroup: MemoryMin= and MemorySwapMax= of the unit do nothing; and in a group of version 1 who waits for a page that is on its way out cannot be killed")
}

func checkPSI(f *Facts, _ *config.Config) []Finding {
	const name = "psi"
	if f.PSI {
		return one(name, OK, "", "the kernel tells how long programs wait for memory")
	}
	return one(name, Note, "", "the kernel does not tell how long programs wait for memory: psi=1 on its command line turns that on")
}
