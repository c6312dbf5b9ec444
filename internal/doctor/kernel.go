package doctor

import (
	"strconv"
	"strings"

	"github.com/zswapd/zswapd/internal/config"
)

// version is the first three numbers of uname -r.
type version [3]int

func parseVersion(release string) (v version, ok bool) {
	for i, part := range strings.SplitN(release, ".", 3) {
		end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(part)
		}
		n, err := strconv.Atoi(part[:end])
		if err != nil {
			return v, i >= 2 // "6.18-rc1" has no third
		}
		v[i] = n
		if end < len(part) {
			return v, i >= 1
		}
	}
	return v, v[0] > 0
}

func (v version) before(o version) bool {
	for i := range v {
		if v[i] != o[i] {
			return v[i] < o[i]
		}
	}
	return false
}

// ublkHangs are kernels on which control commands of ublk do not return to servers written in Go: from, and first after.
var ublkHangs = [][2]version{{{6, 18, 40}, {6, 19, 0}}, {{7, 0, 0}, {7, 1, 0}}}

func checkKernel(f *Facts, c *config.Config) (all []Finding) {
	const name = "kernel"
	v, ok := parseVersion(f.Kernel)
	switch {
	case !ok:
		return one(name, Note, "", "the version %q is not understood", f.Kernel)
	case v.before(version{5, 14}):
		return one(name, Problem, "boot Linux 6.9 or later", "Linux %s is older than 5.14, which locked memory, detached mounts and loop devices with 4 KiB blocks need", f.Kernel)
	case c.Door != config.DoorFUSE && v.before(version{6, 5}):
		return one(name, Problem, "boot Linux 6.5 or later; or, for programs under cgroup limits, door = \"fuse\" in "+config.DefaultPath,
			"Linux %s is older than 6.5, whose ublk door = %q needs", f.Kernel, c.Door)
	case v.before(version{6, 4}):
		all = one(name, Advice, "boot Linux 6.9 or later", "Linux %s has no tmpfs without swap (6.4): while the daemon is replaced, its store may be swapped out, to itself", f.Kernel)
	case c.Door == config.DoorFUSE && v.before(version{6, 9}):
		all = one(name, Advice, "boot Linux 6.9 or later", "Linux %s does not send FUSE requests again (6.9): if the daemon is killed, those under way are lost, and programs may die of SIGBUS", f.Kernel)
	default:
		all = one(name, OK, "", "Linux %s has all that is needed", f.Kernel)
	}
	for _, r := range ublkHangs {
		if v.before(r[0]) || !v.before(r[1]) {
			continue
		}
		switch {
		case c.Door == config.DoorUBLK:
			all = append(all, one(name, Problem, `set door = "fuse" in `+config.DefaultPath, "Linux %s is said to hang control commands of ublk servers written in Go, and door = \"ublk\"", f.Kernel)...)
		case c.Door == config.DoorAuto && f.Ublk:
			all = append(all, one(name, Note, "", "Linux %s is said to hang control commands of ublk servers written in Go; door = \"fuse\" is the safe choice", f.Kernel)...)
		}
	}
	return all
}
