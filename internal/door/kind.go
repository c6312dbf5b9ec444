package door

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/ublk"
)

// Kind is what a door is made of.
type Kind string

// Kinds.
const (
	// Auto is UBLK; see Choose.
	Auto Kind = "auto"
	// FUSE is a file of a FUSE server under a loop device: for the pages of a cgroup, on any kernel.
	FUSE Kind = "fuse"
	// UBLK is a ublk device (Linux 6.5): for the pages of all programs.
	UBLK Kind = "ublk"
)

// ErrNoDoor: there is no door for swap of the whole machine here.
var ErrNoDoor = errors.New("door: no way to swap that keeps going when the whole machine is short of memory")

// Choose returns the kind to use for swap of the whole machine, and says why that one. FUSE must be named: its loop device waits
// for memory when there is none, and so far has stalled on two CPUs (ARCHITECTURE.md).
func Choose(kind Kind) (chosen Kind, why string, err error) {
	switch kind {
	case FUSE:
		return FUSE, "it was asked for, although it may stall when the whole machine is short of memory", nil
	case UBLK, Auto, "":
	default:
		return "", "", fmt.Errorf("door: %q: want %s, %s or %s", kind, Auto, UBLK, FUSE)
	}
	err = ublk.Available()
	switch {
	case err == nil && kind == UBLK:
		return UBLK, "it was asked for", nil
	case err == nil:
		return UBLK, "the kernel has ublk", nil
	case kind == UBLK:
		return "", "", fmt.Errorf("door: %w", err)
	}
	return "", "", fmt.Errorf("%w: %w; %q must be asked for by name", ErrNoDoor, err, FUSE)
}

// kind returns what the options ask for.
func (o *Options) kind() (Kind, error) {
	switch {
	case o.WholeMachine:
		kind, _, err := Choose(o.Kind)
		return kind, err
	case o.Kind == "":
		return FUSE, nil
	case o.Kind == FUSE, o.Kind == UBLK:
		return o.Kind, nil
	}
	return "", fmt.Errorf("door: %q: want %s or %s", o.Kind, FUSE, UBLK)
}

// kindOf returns the kind of door that a handle belongs to: a connection is a device, a folder of sysfs a folder.
func kindOf(handle int) (Kind, error) {
	var st unix.Stat_t
	if err := unix.Fstat(handle, &st); err != nil {
		return "", fmt.Errorf("door: handle: %w", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return UBLK, nil
	}
	return FUSE, nil
}
