package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/run"
)

type statusFlags struct {
	socket
	json, settings, events bool
	watch                  time.Duration
}

func statusCommand() *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status [--json] [--watch[=TIME]] [--settings | --events]",
		Short: "Say what the daemon does for this machine",
		Long: `Say what the daemon does for this machine, what it saves first. Needs no root if you are in the group that the
configuration names (control.group).` + controlCodes,
		Example: `  zswapd status
  zswapd status --watch
  zswapd status --json | jq .saved_bytes`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.settings && f.events {
				return run.UsageError{Err: errors.New("--settings and --events: one at a time")}
			}
			if c.Flags().Changed("watch") && f.watch < 100*time.Millisecond {
				return run.UsageError{Err: fmt.Errorf("--watch=%v: want 100ms at least", f.watch)}
			}
			return f.ask(c.Context(), f.run)
		},
	}
	c.Flags().BoolVar(&f.json, "json", false, "as JSON, one line for each time with --watch")
	c.Flags().DurationVar(&f.watch, "watch", 0, "again and again, each 2s or so often")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	c.Flags().BoolVar(&f.settings, "settings", false, "the settings in force, with where each came from")
	c.Flags().BoolVar(&f.events, "events", false, "the last lines of its log")
	f.add(c)
	return c
}

// run shows it once, or until it is interrupted, which then is no failure. While it watches, the daemon may come and go.
func (f *statusFlags) run(ctx context.Context, c *control.Client) error {
	if f.watch == 0 {
		return f.show(ctx, c)
	}
	terminal := term.IsTerminal(int(os.Stdout.Fd())) && !f.json
	for tick := time.NewTicker(f.watch); ; {
		if terminal {
			fmt.Print("\x1b[H\x1b[J") // to the top, and nothing below
		}
		err := f.show(ctx, c)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, control.ErrDenied):
			return err
		case err != nil:
			complain(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *statusFlags) show(ctx context.Context, c *control.Client) error {
	ctx, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	switch {
	case f.settings:
		list, err := c.Settings(ctx)
		return f.write(err, list, func(out io.Writer) error { return writeSettings(out, list) })
	case f.events:
		list, err := c.Events(ctx)
		return f.write(err, list, func(out io.Writer) error { return writeEvents(out, list) })
	}
	s, err := c.Status(ctx)
	return f.write(err, s, s.WriteText)
}

// write writes v as JSON, or for people.
func (f *statusFlags) write(err error, v any, people func(io.Writer) error) error {
	switch {
	case err != nil:
		return err
	case f.json && f.watch > 0:
		return json.NewEncoder(os.Stdout).Encode(v)
	case f.json:
		return indented(os.Stdout, v)
	}
	return people(os.Stdout)
}

func writeSettings(out io.Writer, list []control.Setting) error {
	var failed error
	for _, s := range list {
		_, err := fmt.Fprintf(out, "%-30s %-28s %-14s %s\n", s.Key, s.Value, s.Needs, s.Origin)
		failed = errors.Join(failed, err)
	}
	return failed
}

func writeEvents(out io.Writer, list []control.Event) error {
	var failed error
	for _, e := range list {
		_, err := fmt.Fprintf(out, "%s %-5s %s\n", e.Time.Local().Format(time.DateTime), e.Level, e.Message)
		failed = errors.Join(failed, err)
	}
	return failed
}
