package main

import "github.com/spf13/cobra"

// benchCommand is the parent of the measurements.
func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pool, its swap device, or a recorded workload",
	}
	c.AddCommand(benchPoolCommand())
	return c
}
