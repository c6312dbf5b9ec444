package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// compactStep is how much one step of compaction moves, in bytes.
const compactStep = 1 << 20

// Compact makes steps of compaction until nothing is left to do, or ctx ends. It needs no turn of the loop.
func (d *Daemon) Compact(ctx context.Context) (w control.Work, err error) {
	for w.More = true; w.More && ctx.Err() == nil; {
		step, more := d.pool.Compact(compactStep)
		w.Pages += uint64(step.Objects)
		w.FreedBytes += int64(step.Frames) * 4096
		w.More = more
	}
	return w, nil
}

// Drain begins to turn swap off.
func (d *Daemon) Drain(ctx context.Context, force bool) error {
	return d.do(ctx, func() error { return refusal(d.off(StateDraining, force)) })
}

// Stop is Drain, and then the end.
func (d *Daemon) Stop(ctx context.Context, force bool) error {
	return d.do(ctx, func() error { return refusal(d.stop(force)) })
}

// refusal says of an error that it is one.
func refusal(err error) error {
	var room *swapdev.NoRoomError
	if errors.As(err, &room) {
		return fmt.Errorf("%w: %w; --force does it all the same, and the kernel ends programs until there is room", control.ErrRefused, room)
	}
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrEnding) {
		return fmt.Errorf("%w: %w", control.ErrRefused, err)
	}
	return err
}

// Reload reads the configuration again.
func (d *Daemon) Reload(ctx context.Context) (list []control.Change, err error) {
	err = d.do(ctx, func() error {
		changes, err := d.reload()
		for _, c := range changes {
			list = append(list, c.control())
		}
		var problems config.Problems
		if errors.As(err, &problems) {
			err = fmt.Errorf("%w: %w", control.ErrInvalid, err)
		}
		return err
	})
	return list, err
}

func (c change) control() control.Change {
	one := control.Change{Key: c.Key, Old: c.Old, New: c.New, Applied: c.applied}
	if c.problem != nil {
		one.Problem = c.problem.Error()
	} else if !c.applied {
		one.Needs = c.Need.String()
	}
	return one
}

// Set changes one setting until the daemon ends, or the configuration is read again.
func (d *Daemon) Set(ctx context.Context, key, value string) (answer control.Change, err error) {
	err = d.do(ctx, func() error {
		c, err := d.config.With("set at run time", key+"="+value)
		if err != nil {
			return fmt.Errorf("%w: %w", control.ErrInvalid, err)
		}
		for _, s := range c.Settings() {
			if s.Key == key {
				value = s.Value // as it is shown
				if s.Change != config.Live {
					return fmt.Errorf("%w: %s cannot change while it is served: write it to the configuration; it takes a %s", control.ErrInvalid, key, s.Change)
				}
			}
		}
		answer = control.Change{Key: key, Old: value, New: value, Applied: true}
		before, pending := d.config, d.pending
		list := slices.DeleteFunc(d.diff(c), func(one config.Change) bool { return one.Key != key }) // what is pending besides stays so
		for _, one := range d.apply(c, list) {
			if one.problem != nil {
				d.settle(before, pending)
				return fmt.Errorf("%w: %s stays %s: %w", control.ErrInvalid, key, one.Old, one.problem)
			}
			answer = one.control()
		}
		return nil
	})
	return answer, err
}

// Upgrade hands over to another program, or, with "", to the same anew; see upgrade. It returns when that is decided.
func (d *Daemon) Upgrade(ctx context.Context, program string) error {
	return d.do(ctx, func() error {
		if err := d.upgrade(program); err != nil {
			return fmt.Errorf("%w: %w", control.ErrRefused, err)
		}
		return nil
	})
}
