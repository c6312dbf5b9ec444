package replay

import (
	"context"
	"time"
)

var epoch = time.Now()

// now is cheaper than time.Now: a difference needs no wall time.
func now() time.Duration { return time.Since(epoch) }

// clock says when an event is due.
type clock struct{ zero time.Duration } // in now's time

func newClock(first time.Duration) *clock { return &clock{zero: now() - first} }

// spin is how long before its time a wait stops sleeping: a sleep wakes up late.
const spin = 200 * time.Microsecond

// wait returns when the event of that time is due, and how late it is then; or when the context ends.
func (c *clock) wait(ctx context.Context, at time.Duration) time.Duration {
	due := c.zero + at
	if left := due - now() - spin; left > 0 {
		t := time.NewTimer(left)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return 0
		}
	}
	for now() < due {
	}
	return now() - due
}
