package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/run"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration of the service",
		Args:  subcommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return run.UsageError{Err: fmt.Errorf("say what to do with it: %s check, or show", c.CommandPath())}
		},
	}
	c.AddCommand(configCheckCommand(), configShowCommand())
	return c
}

// loadConfig reads the file that args name, or the service's, for a machine with so much RAM; 0: this one.
func loadConfig(args []string, ram size) (*config.Config, error) {
	path := config.DefaultPath
	if len(args) > 0 {
		if path = args[0]; path == "" {
			return nil, run.UsageError{Err: errors.New("the name of the file is empty")}
		}
	}
	if ram == 0 {
		ram = size(machine.Describe().MemoryBytes)
	}
	c, err := config.Load(path, int64(ram))
	return c, usage(err)
}

func configCheckCommand() *cobra.Command {
	var ram size
	c := &cobra.Command{
		Use:   "check [flags] [FILE]",
		Short: "Say every mistake in the configuration: file, line, key, the value, and what would be right",
		Long: `Read the configuration and its drop-ins, and print every mistake: file, line, key, the value seen, and what would be
right. Nothing is printed, and the exit code is 0, if there is none; else it is 2.`,
		DisableFlagsInUseLine: true,
		Args:                  arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := loadConfig(args, ram)
			return err
		},
	}
	c.Flags().Var(&ram, "ram", "as on a machine with so much memory (default this one)")
	return c
}

func configShowCommand() *cobra.Command {
	var ram size
	var asJSON bool
	c := &cobra.Command{
		Use:   "show [flags] [FILE]",
		Short: "Print what is in force, and where each value came from",
		Long: `Print every key with its value, sizes computed, and behind it where the value came from: the default, or a file and its
line. Defaults are behind a #, so the text is a configuration that says the same.`,
		DisableFlagsInUseLine: true,
		Args:                  arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := loadConfig(args, ram)
			if err != nil {
				return err
			}
			if !asJSON {
				_, err := c.WriteTo(os.Stdout)
				return err
			}
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			return e.Encode(struct {
				Version   int              `json:"version"`
				RAMBytes  int64            `json:"ram_bytes"`
				PoolLimit int64            `json:"pool_limit_bytes"`
				Settings  []config.Setting `json:"settings"`
			}{1, c.RAM(), c.PoolLimit(), c.Settings()})
		},
	}
	c.Flags().Var(&ram, "ram", "as on a machine with so much memory (default this one)")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, to which fields may be added")
	return c
}
