package serve

import (
	"errors"
	"fmt"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// fuseWarning is said with that door.
const fuseWarning = "door = \"fuse\" is for programs under cgroup limits: when the whole machine has no free memory left, swapping through it can stall"

// chooseDoor returns the kind of door to open, and why that.
func chooseDoor(want string) (kind door.Kind, why string, err error) {
	kind, why, err = door.Choose(door.Kind(want))
	if errors.Is(err, door.ErrNoDoor) {
		err = fmt.Errorf("door = %q: this kernel has no door that is good for the swap of a whole machine. "+
			"Load ublk (modprobe ublk_drv, Linux 6.5), or set door = %q, which is for programs under cgroup limits (%w)", want, config.DoorFUSE, err)
	}
	return kind, why, err
}

func (d *Daemon) doorOptions() door.Options {
	return door.Options{
		Pool: d.pool, Record: d.record, Label: "zswapd", Priority: d.config.Swap.Priority, Kind: door.Kind(d.saved.now.Door),
		Threads: d.config.Serve.Threads, SpinMax: d.config.Serve.Spin, Hold: d.hold,
		WholeMachine: d.saved.now.Door == config.DoorUBLK,
	}
}

// warmHeap is the heap that is faulted in for a door that is not for the whole machine; the other sees to that itself.
const warmHeap = 4 << 20

// warm faults in all that we need.
func (d *Daemon) warm() {
	if d.saved.now.Door == config.DoorUBLK {
		return
	}
	if err := guard.Warm(warmHeap); err != nil {
		d.log.Warn(err.Error())
	}
}

// deviceIn returns the device that a record names.
func deviceIn(r swapdev.Record) string {
	if r.UBLK != "" {
		return r.UBLK
	}
	return r.Loop
}

// doorHandle returns the descriptor that the door's server serves by.
func (d *Daemon) doorHandle() int {
	if fd := d.handed(door.UBLKHandle); fd >= 0 {
		return fd
	}
	return d.handed(door.FUSEHandle)
}
