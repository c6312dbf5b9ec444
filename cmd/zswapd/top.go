package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/top"
)

func topCommand() *cobra.Command {
	var s socket
	var every time.Duration
	c := &cobra.Command{
		Use:   "top [--every TIME]",
		Short: "Watch what the daemon does, live",
		Long: `Watch what the daemon does: what it saves, how full it is, where the pages are, and graphs of ratio, memory, traffic, the time of
faults and compaction. Keys: q quit, p pause, c compact, a age, w write back 64 MiB; the last three are for root.` + controlCodes,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return run.UsageError{Err: fmt.Errorf("--every=%v: want 100ms at least", every)}
			}
			if !term.IsTerminal(int(os.Stdout.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
				return run.UsageError{Err: errors.New("top needs a terminal; zswapd status --watch does without")}
			}
			return s.ask(c.Context(), func(ctx context.Context, cl *control.Client) error {
				if _, err := look(ctx, cl); err != nil { // said plainly, not on a screen that goes away
					return err
				}
				_, err := tea.NewProgram(top.New(cl, every), tea.WithContext(ctx), tea.WithoutSignalHandler()).Run()
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return err
			})
		},
	}
	c.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	s.add(c)
	return c
}
