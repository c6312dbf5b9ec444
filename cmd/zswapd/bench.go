package main

import "github.com/spf13/cobra"

// benchCommand is the parent of the measurements.
func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pool, its swap device, or a recorded workload",
		Args:  subcommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(benchPoolCommand(), benchSwapCommand(), benchReplayCommand())
	return c
}
