package doctor

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/report"
)

func checkConfig(f *Facts, _ *config.Config) (all []Finding) {
	const name = "configuration"
	for _, p := range f.Config {
		all = append(all, one(name, Problem, "mend that; zswapd config check says whether it is right", "%s", p)...)
	}
	if all == nil {
		all = one(name, OK, "", "right")
	}
	return all
}

// needed are the capabilities of the service, but for that of checkMemlock.
var needed = []struct {
	bit  uint
	name string
}{{unix.CAP_SYS_ADMIN, "SYS_ADMIN"}, {unix.CAP_SYS_RESOURCE, "SYS_RESOURCE"}, {unix.CAP_SYS_NICE, "SYS_NICE"}}

func checkPrivileges(f *Facts, _ *config.Config) []Finding {
	const name = "privileges"
	if !f.Root {
		return one(name, Problem, "sudo zswapd doctor", "not root: swap cannot be turned on, and some of what follows cannot be seen")
	}
	if f.UserNamespace {
		return one(name, Problem, "run it outside; in a container, one that is not rootless", "root of a user namespace, who has no power over the machine: swap cannot be turned on")
	}
	var missing []string
	for _, n := range needed {
		if f.Caps>>n.bit&1 == 0 {
			missing = append(missing, n.name)
		}
	}
	if len(missing) > 0 {
		return one(name, Problem, "in a container: --cap-add "+strings.Join(missing, " --cap-add ")+"; in a unit: CapabilityBoundingSet=",
			"root without CAP_%s", strings.Join(missing, ", CAP_"))
	}
	return one(name, OK, "", "root, with all capabilities that are needed")
}

func checkMemlock(f *Facts, _ *config.Config) []Finding {
	const name = "memlock"
	switch {
	case f.MemlockInf:
		return one(name, OK, "", "locked memory has no limit")
	case f.Caps>>unix.CAP_IPC_LOCK&1 == 1 && !f.UserNamespace:
		return one(name, OK, "", "CAP_IPC_LOCK: the limit of locked memory does not count")
	}
	return one(name, Problem, "ulimit -l unlimited; in a unit: LimitMEMLOCK=infinity", "locked memory is limited: the daemon could be swapped out, to itself")
}

// checkDoors: auto takes a door for the whole machine only, which FUSE with a loop device is not.
func checkDoors(f *Facts, c *config.Config) []Finding {
	const name = "doors"
	var lacks []string
	if !f.Fuse {
		lacks = append(lacks, "fuse")
	}
	if !f.Loop {
		lacks = append(lacks, "loop")
	}
	switch {
	case c.Door == config.DoorFUSE && len(lacks) > 0:
		return one(name, Problem, "modprobe -a "+strings.Join(lacks, " ")+"; in a container, pass the devices in", "door = \"fuse\", and there is no device of %s", strings.Join(lacks, " and "))
	case c.Door == config.DoorFUSE:
		return one(name, Note, "", "door = \"fuse\" is for programs under cgroup limits: when the whole machine has no free memory left, swapping through it can stall")
	case !f.Ublk:
		return one(name, Problem, "modprobe ublk_drv (Linux 6.5); or, for programs under cgroup limits, door = \"fuse\" in "+config.DefaultPath,
			"door = %q, and there is no /dev/ublk-control", c.Door)
	}
	return one(name, OK, "", "ublk")
}

// checkService looks whether the one that runs is as well protected as it should be.
func checkService(f *Facts, _ *config.Config) (all []Finding) {
	const name = "service"
	s := f.Service
	if s == nil {
		return one(name, Note, "", "zswapd serve is not running")
	}
	if s.OOMScore != Unknown && s.OOMScore > -1000 {
		all = append(all, one(name, Problem, "systemctl restart zswapd, from the unit; by hand, start it as root with CAP_SYS_RESOURCE",
			"process %d has oom_score_adj %d: it may be killed when memory runs out, and all who swapped with it", s.PID, s.OOMScore)...)
	}
	if s.Locked == 0 {
		all = append(all, one(name, Problem, "LimitMEMLOCK=infinity in the unit, then systemctl restart zswapd",
			"process %d has not locked its memory: it may be swapped out, to itself", s.PID)...)
	}
	if s.Swapped > 0 {
		all = append(all, one(name, Problem, "systemctl restart zswapd", "%s of process %d are swapped out, perhaps to itself", report.Bytes(s.Swapped), s.PID)...)
	}
	if all == nil {
		all = one(name, OK, "", "process %d, locked in memory, spared by the OOM killer", s.PID)
	}
	return all
}

func checkGroup(f *Facts, c *config.Config) []Finding {
	const name = "group"
	switch g := c.Control.Group; {
	case g == "":
		return one(name, OK, "", "status and metrics are root's: control.group is not set")
	case control.IsGroupID(g):
		return one(name, OK, "", "members of group %s may read status and metrics", g)
	case !f.Groups[g]:
		return one(name, Problem, "groupadd --system "+g, "control.group = %q is not in /etc/group", g)
	default:
		return one(name, OK, "", "members of %s may read status and metrics", g)
	}
}
