package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// Prefix begins the name of every group that we make.
	Prefix = "zswapd-"
	// MinLimit is the least limit, in bytes, that lets a program start: its page tables and kernel stacks
	// count and cannot be swapped out.
	MinLimit = 1 << 20
	// selfName is the group below our own that we move to when version 2 asks our own to be empty.
	selfName = Prefix + "self"
)

// Create makes an empty group with a limit in bytes (rounded down to whole pages); Prefix is put before the name if it
// is not there. os.ErrExist: there is one of that name.
func Create(name string, limitBytes int64) (*Group, error) { return host.create(name, limitBytes, nil) }

// CreateNoted is Create that tells the folder before it is made, for a record; it gives up if that fails.
// The last one told is the one made; "" takes back what was told.
func CreateNoted(name string, limitBytes int64, note func(dir string) error) (*Group, error) {
	return host.create(name, limitBytes, note)
}

// Open returns a group that was made earlier, perhaps by another process. It refuses folders outside of the memory
// hierarchy and without Prefix in their name. os.ErrNotExist: it is gone.
func Open(dir string) (*Group, error) { return host.open(dir) }

func (t tree) create(name string, limitBytes int64, note func(string) error) (*Group, error) {
	if !strings.HasPrefix(name, Prefix) {
		name = Prefix + name
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkLimit(limitBytes); err != nil {
		return nil, err
	}
	h, err := t.find()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, parent := range h.parents() {
		g, err := h.createIn(parent, name, limitBytes, note)
		if err == nil || errors.Is(err, os.ErrExist) {
			return g, err
		}
		errs = append(errs, err)
	}
	return nil, errs[len(errs)-1] // the root's: that of a delegated group is the rarer wish
}

func (t tree) open(dir string) (*Group, error) {
	h, err := t.find()
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	below, ok := under(h.mount, dir)
	if name := filepath.Base(dir); !ok || below == "" || !strings.HasPrefix(name, Prefix) || name == selfName {
		return nil, fmt.Errorf("%s is no group of ours: want %s…/%sNAME", dir, h.mount, Prefix)
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil, &os.PathError{Op: "open cgroup", Path: dir, Err: os.ErrNotExist}
	}
	return &Group{dir: dir, version: h.version}, nil
}

func (h hierarchy) createIn(parent, name string, limitBytes int64, note func(string) error) (*Group, error) {
	if h.version == 2 {
		if err := h.enable(parent); err != nil {
			return nil, err
		}
		if err := swapAllowed(h.mount, parent); err != nil {
			return nil, err
		}
	}
	g := &Group{dir: filepath.Join(parent, name), version: h.version}
	if note != nil {
		if err := note(g.dir); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		if note != nil {
			_ = note("") // it is somebody else's, if it is there
		}
		return nil, explain("make a cgroup", parent, err)
	}
	if err := g.setUp(limitBytes); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

func checkName(name string) error {
	for _, c := range name {
		plain := c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !plain {
			return fmt.Errorf("cgroup name %q: want letters, digits, '.', '_' and '-'", name)
		}
	}
	if name == selfName || name == Prefix || len(name) > 200 {
		return fmt.Errorf("cgroup name %q: empty, reserved or too long", name)
	}
	return nil
}

func checkLimit(limitBytes int64) error {
	if limitBytes < MinLimit {
		return fmt.Errorf("a memory limit of %d bytes: no program starts with less than %d", limitBytes, MinLimit)
	}
	return nil
}
