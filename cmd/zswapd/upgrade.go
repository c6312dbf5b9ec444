package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/run"
)

// replaceLimit is how long the next daemon may take to answer.
const replaceLimit = 30 * time.Second

func upgradeCommand() *cobra.Command {
	var socket, binary string
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the running service by another build of the program, with swap on",
		Long: `Ask the running service to hand over to another program: by default to its own file, where a package has put a new one. That
is run beside it first, and asked whether it can read the store; if not, it says so, and the old one goes on. Else it
takes over. Who swaps meanwhile waits a fraction of a second, and nothing is swapped in.` + controlCodes,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if binary != "" {
				path, err := filepath.Abs(binary)
				if err == nil {
					var info os.FileInfo
					if info, err = os.Stat(path); err == nil && info.IsDir() {
						err = fmt.Errorf("%s is a folder", path)
					}
				}
				if err != nil {
					return run.UsageError{Err: fmt.Errorf("--binary: %w", err)}
				}
				binary = path
			}
			return replace(c.Context(), socket, binary)
		},
	}
	c.Flags().StringVar(&binary, "binary", "", "the program to hand over to; it takes our own keeper, which the unit has, too, and lasts until systemd restarts the unit")
	c.Flags().StringVar(&socket, "socket", control.DefaultPath, "of the service")
	return c
}

func restartCommand() *cobra.Command {
	var socket string
	c := &cobra.Command{
		Use:   "restart",
		Short: "Start the running service anew, with swap on",
		Long:  "Replace the running service by its own program anew, which goes by the configuration as it is now: what zswapd upgrade does." + controlCodes,
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return replace(c.Context(), socket, "") },
	}
	c.Flags().StringVar(&socket, "socket", control.DefaultPath, "of the service")
	return c
}

// replace has the daemon replaced, and waits until another one answers.
func replace(ctx context.Context, socket, program string) error {
	c := control.NewClient(socket)
	defer c.Close()
	before, err := within(ctx, replyLimit, c.Info)
	if err == nil {
		_, err = within(ctx, askLimit, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Upgrade(ctx, program) })
	}
	if err != nil {
		return err
	}
	for end := time.Now().Add(replaceLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now, err := within(ctx, replyLimit, c.Info); err == nil && now.PID != before.PID {
			fmt.Printf("process %d, %s, serves in the place of process %d, %s\n", now.PID, now.Version, before.PID, before.Version)
			return nil
		}
	}
	return fmt.Errorf("process %d has handed over, but no other answers on %s within %v: see its log", before.PID, socket, replaceLimit)
}
