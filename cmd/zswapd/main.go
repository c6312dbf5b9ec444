// Zswapd gives Linux compressed swap in memory, from user space.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/sdnotify"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// Exit codes of our own; otherwise that of the command that was run.
const (
	exitMachine = 1 // the machine lacks something, or failed
	exitUsage   = 2 // what was asked for makes no sense

	exitConfig = 78 // either of them, for systemd: the service could not begin, and to try again would not help
)

func main() {
	sdnotify.Main(guard.LimitPowers) // in a child that is to become the daemon, does not return
	launch.Main()                    // in a child that is to execute a command, does not return
	swapdev.Main()                   // in a child that is to turn swap off, does not return
	root := &cobra.Command{
		Use:           "zswapd",
		Version:       version,
		Short:         "Compressed swap in memory, from user space",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return run.UsageError{Err: fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	code := 0
	root.AddCommand(runCommand(&code), benchCommand(), captureCommand(), estimateCommand(), workloadCommand(),
		configCommand(), doctorCommand(&code), serveCommand(&code), restartCommand(), upgradeCommand(), checkStoreCommand())
	root.AddCommand(controlCommands()...)
	if err := root.ExecuteContext(context.Background()); err != nil {
		complain(err)
		if code != exitConfig {
			code = exitCode(err)
		}
	}
	os.Exit(code)
}

// complain prints each problem on a line of its own.
func complain(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(os.Stderr, "zswapd: "+strings.TrimSuffix(line, "\n"))
	}
}

func exitCode(err error) int {
	var interrupted run.Interrupted
	if errors.As(err, &interrupted) {
		return 128 + int(interrupted.Signal)
	}
	var usage run.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	if code := controlCode(err); code != 0 {
		return code
	}
	return exitMachine
}
