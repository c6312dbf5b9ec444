package swapdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zswapd/zswapd/internal/cgroup"
)

// cleaner undoes one dead run. Each step does nothing where nothing of the run is left.
type cleaner struct {
	host   host
	dir    string
	record Record
	o      CleanOptions
	report []string
}

func (c *cleaner) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.report = append(c.report, fmt.Sprintf("run %s (process %d): %s", c.record.ID, c.record.PID, line))
}

// killCommand ends the processes of the run's command: then their pages need not come back.
func (c *cleaner) killCommand(context.Context) error {
	group, err := c.group()
	if group == nil || err != nil {
		return err
	}
	procs, err := group.Procs()
	if err != nil || len(procs) == 0 {
		return err
	}
	c.say("killed %d processes in %s", len(procs), group.Path())
	return group.Kill(c.o.Timeout)
}

func (c *cleaner) freeDevice(ctx context.Context) error {
	if c.record.Loop == "" {
		return nil
	}
	d, err := c.host.find(c.record.Loop, c.record.Tag)
	if errors.Is(err, ErrForeign) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Release()
	o := c.o.Off
	if c.record.Mount != "" { // its file is one of the dead server's
		o = c.lost()
	}
	if err := c.swapOff(ctx, d.target(), o); err != nil {
		return err
	}
	if err := d.Detach(); err != nil {
		return err
	}
	c.say("detached %s", filepath.Base(d.Path()))
	return nil
}

// lost is for devices whose pages were in the process that is dead: nothing comes back, so there need not be room for it.
func (c *cleaner) lost() OffOptions {
	o := c.o.Off
	o.Force = true
	return o
}

// swapOff turns swap off where it is on.
func (c *cleaner) swapOff(ctx context.Context, t Target, o OffOptions) error {
	used, err := t.Used()
	if errors.Is(err, ErrOff) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	if err == nil {
		err = t.SwapOff(ctx, o)
	}
	if err == nil {
		c.say("swapoff %s, with %d KiB swapped out", t.path, used>>10)
	}
	return err
}

func (c *cleaner) removeCgroup(context.Context) error {
	group, err := c.group()
	if group == nil || err != nil {
		return err
	}
	if err := group.Remove(); err != nil {
		return err
	}
	c.say("removed %s", group.Path())
	return nil
}

// group returns the recorded cgroup, or nil if there is none any more.
func (c *cleaner) group() (*cgroup.Group, error) {
	if c.record.Cgroup == "" {
		return nil, nil
	}
	group, err := cgroup.Open(c.record.Cgroup)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return group, err
}
