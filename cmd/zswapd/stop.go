package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// Times of waiting for the daemon.
const (
	endLimit   = 30 * time.Second // from the end of its socket to its own
	lookEvery  = 200 * time.Millisecond
	replyLimit = 10 * time.Second // of one look
)

const forceHelp = "even if there may be no room for what comes back: the kernel may then end programs"

func drainCommand() *cobra.Command {
	return endCommand("drain", "Turn swap off; the daemon stays",
		`Turn swap off: bring back everything that is swapped out. It is refused, with the numbers, if memory, or the limit of a cgroup,
has no room for it. The daemon stays, without swap, until it is stopped; zswapd restart turns swap on again.`, (*control.Client).Drain)
}

func stopCommand() *cobra.Command {
	return endCommand("stop", "Turn swap off and end the daemon",
		`Turn swap off, bring back everything that is swapped out, and end the daemon; nothing of it is left. It is refused, with the
numbers, if memory, or the limit of a cgroup, has no room for what comes back.`, (*control.Client).Stop)
}

func endCommand(name, short, long string, begin func(*control.Client, context.Context, bool) (string, error)) *cobra.Command {
	var s socket
	var force, noWait bool
	c := &cobra.Command{
		Use: name + " [--force] [--no-wait]", Short: short, Long: long + controlCodes, DisableFlagsInUseLine: true, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.ask(c.Context(), func(ctx context.Context, cl *control.Client) error {
				before, err := within(ctx, replyLimit, cl.Info)
				if err != nil {
					return err
				}
				p := openProcesses(before.PID, before.Keeper)
				defer p.close()
				_, err = within(ctx, askLimit, func(ctx context.Context) (string, error) { return begin(cl, ctx, force) })
				if err != nil || noWait {
					return err
				}
				if err := awaitEnd(ctx, cl, before.Door.Device, name == "stop"); err != nil || name != "stop" {
					return err
				}
				if !p.wait(endLimit) {
					return fmt.Errorf("swap is off, but process %d, or its keeper, has not ended within %v: see its log", before.PID, endLimit)
				}
				_, err = fmt.Println("stopped: swap is off, and nothing is left")
				return err
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, forceHelp)
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when it has begun")
	s.add(c)
	return c
}

// awaitEnd waits until swap on the device is off, or the daemon gone as well, and tells how far it is. A daemon that was killed is gone,
// too, with swap on. An interrupt ends the waiting only.
func awaitEnd(ctx context.Context, c *control.Client, device string, gone bool) error {
	show, end := swapLeft()
	defer end()
	for {
		s, err := look(ctx, c)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("no longer waited for; it goes on: %w", context.Cause(ctx))
		case errors.Is(err, control.ErrNoDaemon):
			end()
			return ended(device, gone, err)
		case err != nil: // it is just closing its socket
		case s.State == control.StateDrained && !gone:
			end()
			_, err := fmt.Println("swap is off; the daemon is still there")
			return err
		case s.State == control.StateServing:
			end()
			return fmt.Errorf("swap stays on%s", lastError(ctx, c))
		default:
			show(s.SwapBytes)
		}
		sleep(ctx, lookEvery)
	}
}

// ended says what it means that the daemon does not answer: that is why. Names of devices only: it may see them in another folder.
func ended(device string, gone bool, why error) error {
	list, err := swapdev.On()
	switch {
	case err != nil:
		return fmt.Errorf("it no longer answers (%w); is swap on %s off? %w", why, device, err)
	case slices.ContainsFunc(list, func(name string) bool { return filepath.Base(name) == filepath.Base(device) }):
		return fmt.Errorf("it no longer answers, and swap on %s is on: %w", device, why)
	case gone:
		return nil
	}
	return fmt.Errorf("it no longer answers; swap on %s is off: %w", device, why)
}

func look(ctx context.Context, c *control.Client) (control.Status, error) {
	return within(ctx, replyLimit, c.Status)
}

// within calls a daemon that may not answer.
func within[T any](ctx context.Context, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	return call(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// lastError is the last error that the daemon has logged.
func lastError(ctx context.Context, c *control.Client) string {
	list, err := c.Events(ctx)
	if err != nil {
		return ""
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Level == control.LevelError {
			return ": " + list[i].Message
		}
	}
	return ""
}

// swapLeft returns what shows how much is still to come back, on a terminal.
func swapLeft() (show func(int64), end func()) {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil {
		return func(int64) {}, func() {}
	}
	l := run.NewLiveLine(os.Stderr, width)
	return func(left int64) { l.Show("bringing back what is swapped out, " + control.Size(left) + " left") }, l.Clear
}
