package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// parents returns the folders to try, best first.
func (h hierarchy) parents() []string {
	if h.version == 2 && h.own != "" && h.own != h.mount && delegated(h.own) {
		return []string{h.own, h.mount}
	}
	return []string{h.mount}
}

// delegated reports whether systemd has given us this group to divide.
func delegated(dir string) bool {
	var value [8]byte
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(dir, name, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// enable hands the memory controller to the children of a version 2 group. A group other than the root must have no
// processes for that: if it is our own one, and we are alone in it, we move down into a child.
func (h hierarchy) enable(parent string) error {
	const what, file = "enable the memory controller", "cgroup.subtree_control"
	if contains(filepath.Join(parent, file), "memory") {
		return nil
	}
	err := put(parent, file, "+memory")
	if errors.Is(err, unix.EBUSY) && parent == h.own && alone(parent) {
		self := filepath.Join(parent, selfName)
		if err := os.Mkdir(self, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return explain(what, parent, err)
		}
		if err := put(self, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return explain(what, parent, err)
		}
		err = put(parent, file, "+memory")
	}
	return explain(what, parent, err)
}

// alone reports whether we are the only process of the group.
func alone(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid())
}

// swapAllowed looks for a group from parent up to the mount that forbids swap: below it a limit means death.
func swapAllowed(mount, parent string) error {
	for dir := parent; dir != mount && strings.HasPrefix(dir, mount); dir = filepath.Dir(dir) {
		if contains(filepath.Join(dir, "memory.swap.max"), "0") {
			return fmt.Errorf("%s forbids swap (memory.swap.max is 0): raise it, for instance MemorySwapMax=infinity in the unit", dir)
		}
	}
	return nil
}
