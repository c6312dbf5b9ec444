package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Compact compacts.
func (c *controls) Compact(ctx context.Context) (w control.Work, err error) {
	leave, ok := c.enter()
	if !ok {
		return w, fmt.Errorf("%w: the daemon is at its end", control.ErrRefused)
	}
	defer leave()
	for more := true; more; {
		if w.More = ctx.Err() != nil || c.closing.Load(); w.More {
			return w, nil
		}
		var step zsmalloc.Compaction
		step, more = c.d.pool.Compact(zsmalloc.DefaultBudget)
		w.Pages += uint64(step.Objects)
		w.FreedBytes += int64(step.Frames) * zpool.PageSize
	}
	return w, nil
}

// Age is for tiers.
func (c *controls) Age(context.Context) (control.Work, error) {
	return control.Work{}, fmt.Errorf("aging: %w: there is one tier", control.ErrUnsupported)
}

// WriteBack is for a backing file.
func (c *controls) WriteBack(context.Context, int64) (control.Work, error) {
	return control.Work{}, fmt.Errorf("writeback: %w: there is no backing file", control.ErrUnsupported)
}

// Drain begins to turn swap off.
func (c *controls) Drain(ctx context.Context, force bool) error {
	return refusal(c.order(ctx, func() error { return c.d.off(StateDraining, force) }))
}

// Stop begins to end the daemon.
func (c *controls) Stop(ctx context.Context, force bool) error {
	return refusal(c.order(ctx, func() error { return c.d.stop(force) }))
}

// Upgrade hands over.
func (c *controls) Upgrade(ctx context.Context, program string) error {
	err := c.order(ctx, func() error { return c.d.upgrade(program) })
	if err != nil && !errors.Is(err, control.ErrRefused) {
		err = fmt.Errorf("%w: %w", control.ErrRefused, err)
	}
	return err
}

// refusal marks the errors that say: not now.
func refusal(err error) error {
	var room *swapdev.NoRoomError
	if errors.Is(err, ErrBusy) || errors.As(err, &room) {
		return fmt.Errorf("%w: %w", control.ErrRefused, err)
	}
	return err
}

// Reload reads the configuration again.
func (c *controls) Reload(ctx context.Context) (list []control.Change, err error) {
	err = c.order(ctx, func() error {
		changes, err := c.d.reload()
		for _, one := range changes {
			list = append(list, control.Change{Key: one.Key, Old: one.Old, New: one.New, Applied: one.applied})
		}
		return broken(err)
	})
	return list, err
}

// Set changes a setting that can change live.
func (c *controls) Set(ctx context.Context, key, value string) (change control.Change, err error) {
	change = control.Change{Key: key, New: value, Applied: true}
	err = c.order(ctx, func() error {
		next, err := c.d.config.With(key + "=" + value)
		if err != nil {
			return broken(err)
		}
		if live[key] == nil {
			return fmt.Errorf("%w: %s cannot change while this daemon runs: put it into the configuration, and restart", control.ErrRefused, key)
		}
		for _, s := range next.Settings() {
			if s.Key == key {
				change.Old, change.New = s.Value, s.Value
			}
		}
		for _, one := range c.d.apply(next) {
			if one.Key == key {
				change.Old, change.New, change.Applied = one.Old, one.New, one.applied
			}
		}
		return nil
	})
	return change, err
}

// broken marks mistakes in what the daemon was told.
func broken(err error) error {
	var problems config.Problems
	if errors.As(err, &problems) {
		return fmt.Errorf("%w: %s", control.ErrInvalid, strings.TrimSpace(err.Error()))
	}
	return err
}
