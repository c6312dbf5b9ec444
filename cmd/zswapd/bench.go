package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/swapdev"
)

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

// cleanDead removes what measurements that were killed have left, and tells. Without root nothing can be left.
func cleanDead(ctx context.Context, state string) {
	if os.Geteuid() != 0 {
		return
	}
	cleaned, err := swapdev.Clean(ctx, state, swapdev.CleanOptions{})
	if len(cleaned) > 0 {
		fmt.Fprintf(os.Stderr, "zswapd: after a run that was killed: %s\n", strings.Join(cleaned, "; "))
	}
	warn(err)
}
