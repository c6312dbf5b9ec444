package serve

import (
	"errors"

	"github.com/zswapd/zswapd/internal/config"
)

// fuseWarning is said at each start with that door.
const fuseWarning = "door = \"fuse\" is for programs under cgroup limits: when the whole machine has no free memory left, swapping through it can stall"

// ErrNoDoor: this kernel has no door that is good for the whole machine.
var ErrNoDoor = errors.New(`door = "auto": this kernel has no ublk, the door for a whole machine's swap. ` +
	`Load its module (modprobe ublk_drv, Linux 6.0), or set door = "fuse", which is for programs under cgroup limits`)

// chooseDoor returns the door to open, and why.
func chooseDoor(want string) (kind, why string, err error) {
	switch want {
	case config.DoorFUSE:
		return config.DoorFUSE, "as configured", nil
	case config.DoorUBLK:
		return "", "", errors.New(`door = "ublk": not in this build`)
	}
	return "", "", ErrNoDoor
}
