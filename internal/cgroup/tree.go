package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tree is the file system that holds /proc and the cgroup mounts: "/", or a fixture of a test.
type tree struct{ root string }

var host = tree{root: "/"}

func (t tree) path(p string) string { return filepath.Join(t.root, p) }

// hierarchy is the one mount that has the memory controller.
type hierarchy struct {
	version int
	mount   string // folder of its topmost group that we see
	own     string // folder of our own group; "" when that is outside of the mount
}

// find looks for the memory controller: in the unified hierarchy first, then in a version 1 mount.
func (t tree) find() (h hierarchy, err error) {
	mounts, err := os.ReadFile(t.path("proc/self/mountinfo"))
	if err != nil {
		return h, err
	}
	groups, err := os.ReadFile(t.path("proc/self/cgroup"))
	if err != nil {
		return h, fmt.Errorf("no memory cgroup: %w: the kernel was built without cgroups", err)
	}
	unified := "" // a mount of version 2 that lacks the controller
	var found []hierarchy
	for line := range strings.Lines(string(mounts)) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		c := hierarchy{mount: t.path(m.point), version: m.version}
		if m.version == 2 && !contains(filepath.Join(c.mount, "cgroup.controllers"), "memory") {
			unified = m.point
			continue
		}
		c.own = ownGroup(string(groups), m, c.mount)
		found = append(found, c)
	}
	// Version 2 before 1 (they never both have it); a mount that shows our own group before one that does not.
	slices.SortStableFunc(found, func(a, b hierarchy) int {
		return rank(a) - rank(b)
	})
	if len(found) == 0 {
		return h, t.missing(unified)
	}
	return found[0], nil
}

func rank(h hierarchy) int {
	r := 2 - h.version
	if h.own == "" {
		r += 2
	}
	return r
}

// missing says why there is no memory controller and what to do about it.
func (t tree) missing(unified string) error {
	text, _ := os.ReadFile(t.path("proc/cgroups"))
	for line := range strings.Lines(string(text)) { // name, hierarchy, number of groups, enabled
		if f := strings.Fields(line); len(f) == 4 && f[0] == "memory" {
			switch {
			case f[3] == "0":
				return fmt.Errorf("no memory cgroup: the controller is switched off: boot with cgroup_enable=memory")
			case unified != "":
				return fmt.Errorf("no memory cgroup: %s does not offer the controller: in a container, have it delegated; else unmount it from cgroup version 1", unified)
			default:
				return fmt.Errorf("no memory cgroup: nothing is mounted: mount -t cgroup2 none /sys/fs/cgroup")
			}
		}
	}
	if unified != "" { // the newest kernels list no version 2 controllers in /proc/cgroups
		return fmt.Errorf("no memory cgroup: %s does not offer the controller: boot with cgroup_enable=memory, or have it delegated", unified)
	}
	return fmt.Errorf("no memory cgroup: none is mounted, or the kernel was built without CONFIG_MEMCG")
}

type mount struct {
	version int
	root    string // the group that the mount shows as its root
	point   string
}

// parseMount reads one line of mountinfo: "id parent dev ROOT POINT options [tags…] - TYPE source SUPEROPTIONS". It accepts
// version 2 mounts and version 1 mounts with the memory controller.
func parseMount(line string) (m mount, ok bool) {
	head, tail, ok := strings.Cut(line, " - ")
	f, s := strings.Split(head, " "), strings.Split(strings.TrimSuffix(tail, "\n"), " ") // names may hold other white space
	if !ok || len(f) < 6 || len(s) < 3 {
		return m, false
	}
	m = mount{root: unescape(f[3]), point: unescape(f[4])}
	switch s[0] {
	case "cgroup2":
		m.version = 2
	case "cgroup":
		m.version = 1
		if !slices.Contains(strings.Split(s[2], ","), "memory") {
			return m, false
		}
	default:
		return m, false
	}
	return m, true
}

// unescape undoes the four octal escapes that mountinfo uses.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// ownGroup finds our group in /proc/self/cgroup ("id:controllers:path") and returns its folder. It is "" where the path
// leads out of the mount: a container that sees only a part.
func ownGroup(groups string, m mount, mounted string) string {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		mine := m.version == 2 && f[0] == "0" || m.version == 1 && slices.Contains(strings.Split(f[1], ","), "memory")
		if !mine {
			continue
		}
		below, ok := under(m.root, f[2])
		if !ok {
			return ""
		}
		own := filepath.Join(mounted, below)
		if filepath.Base(below) == selfName { // we moved down ourselves: see enable
			own = filepath.Dir(own)
		}
		return own
	}
	return ""
}

// under returns the part of path below dir: both are absolute; ".." parts mean "outside".
func under(dir, path string) (below string, ok bool) {
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "", false
	}
	dir = strings.TrimSuffix(dir, "/")
	rest, ok := strings.CutPrefix(path, dir)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return rest, true
}
