package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Processes returns the processes of any group and of those below it, in order; it only reads. The path is a group's folder,
// in any hierarchy of either version, or the group's path below the mount that has the memory controller, as
// /proc/PID/cgroup shows it. os.ErrNotExist: there is no such group.
func Processes(path string) ([]int, error) { return host.processes(path) }

func (t tree) processes(path string) ([]int, error) {
	dir := filepath.Clean(path)
	if !filepath.IsAbs(path) || !isCgroup(dir) {
		if slices.Contains(strings.Split(path, "/"), "..") {
			return nil, fmt.Errorf("%s: want no .. in a cgroup's path", path)
		}
		h, err := t.find()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(h.mount, path)
	}
	if info, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("no cgroup %s: %w; looked for %s", path, os.ErrNotExist, dir)
	}
	return (&Group{dir: dir}).Procs()
}

// isCgroup reports whether a folder is a group in a mounted hierarchy.
func isCgroup(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.CGROUP_SUPER_MAGIC || fs.Type == unix.CGROUP2_SUPER_MAGIC)
}
