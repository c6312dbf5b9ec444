package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/run"
)

// benchCommand is the parent of the measurements.
func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pool, its swap device, or a recorded workload",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return run.UsageError{Err: fmt.Errorf("unknown command %q for %q; see %s --help", args[0], c.CommandPath(), c.CommandPath())}
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(benchPoolCommand(), benchSwapCommand(), benchReplayCommand())
	return c
}
