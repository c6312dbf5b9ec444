package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/run"
)

// noArguments refuses arguments that are no flags.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return run.UsageError{Err: fmt.Errorf("%q: %s takes flags only; see %s --help", args[0], c.CommandPath(), c.CommandPath())}
	}
	return nil
}

// arguments takes from least to most arguments.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if n := len(args); n < least || n > most {
			return run.UsageError{Err: fmt.Errorf("%d arguments: want %s; see %s --help", n, c.UseLine(), c.CommandPath())}
		}
		return nil
	}
}

// subcommand is for a command that has others below it: what is no name of one of them is told.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	mean := ""
	c.SuggestionsMinimumDistance = 2 // letters
	if list := c.SuggestionsFor(args[0]); len(list) > 0 {
		mean = "; do you mean " + strings.Join(list, ", or ") + "?"
	}
	return run.UsageError{Err: fmt.Errorf("unknown command %q for %q%s; see %s --help", args[0], c.CommandPath(), mean, c.CommandPath())}
}
