package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/workload"
)

// workloadName is the hidden subcommand that run starts in the cgroup: configuration on its input, result on its output.
const workloadName = "__workload"

func workloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:    workloadName,
		Hidden: true,
		Args:   noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return workload.Serve(ctx, os.Stdin, os.Stdout)
		},
	}
}
