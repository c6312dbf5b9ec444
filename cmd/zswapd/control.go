package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/run"
)

// Exit codes of the commands that speak with the daemon, beside those in main.go.
const (
	exitNoDaemon = 3
	exitDenied   = 4
	exitRefused  = 5 // by the daemon: not now, or not this one
)

const controlCodes = `

Exit codes: 0 done; 1 it failed; 2 the request makes no sense; 3 no daemon runs; 4 not permitted; 5 the daemon refuses, and says why.`

// askLimit bounds a call, the daemon's own limit and some more.
const askLimit = 90 * time.Second

// socket is the flag of all commands that speak with the daemon.
type socket struct{ path string }

func (s *socket) add(c *cobra.Command) {
	c.Flags().StringVar(&s.path, "socket", control.DefaultPath, "the daemon's control socket")
}

// ask calls the daemon.
func (s *socket) ask(ctx context.Context, call func(context.Context, *control.Client) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	c := control.NewClient(s.path)
	defer c.Close()
	return call(ctx, c)
}

// controlCode returns the exit code for an error of the daemon's or of the way to it, 0 for others.
func controlCode(err error) int {
	switch {
	case errors.Is(err, control.ErrNoDaemon):
		return exitNoDaemon
	case errors.Is(err, control.ErrDenied):
		return exitDenied
	case errors.Is(err, control.ErrRefused), errors.Is(err, control.ErrUnsupported):
		return exitRefused
	case errors.Is(err, control.ErrInvalid):
		return exitUsage
	}
	return 0
}

func controlCommands() []*cobra.Command {
	return []*cobra.Command{statusCommand(), topCommand(), compactCommand(), ageCommand(), writebackCommand(), drainCommand(), stopCommand(),
		reloadCommand(), setCommand()}
}

// simple makes a command that does one call.
func simple(use, short, long string, args cobra.PositionalArgs, flags func(*cobra.Command),
	do func(ctx context.Context, c *control.Client, args []string, out io.Writer) error) *cobra.Command {
	var s socket
	c := &cobra.Command{
		Use: use, Short: short, Long: long + controlCodes, DisableFlagsInUseLine: true,
		Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			return s.ask(c.Context(), func(ctx context.Context, cl *control.Client) error {
				ctx, stop := context.WithTimeout(ctx, askLimit)
				defer stop()
				return do(ctx, cl, args, os.Stdout)
			})
		},
	}
	if flags != nil {
		flags(c)
	}
	s.add(c)
	return c
}

func compactCommand() *cobra.Command {
	return simple("compact", "Compact the pool now", "Move compressed pages together until no memory is left to be freed that way.", noArguments, nil,
		func(ctx context.Context, c *control.Client, _ []string, out io.Writer) error {
			w, err := c.Compact(ctx)
			return tell(out, err, "moved %s, freed %s%s\n", counted(w.Pages, "object"), control.Size(w.FreedBytes), rest(w))
		})
}

func ageCommand() *cobra.Command {
	return simple("age", "Make all pages older now", "Make all pages one generation older, as time would; what falls due, such as recompression, begins.", noArguments, nil,
		func(ctx context.Context, c *control.Client, _ []string, out io.Writer) error {
			w, err := c.Age(ctx)
			return tell(out, err, "all pages are one generation older; packed %s, freed %s%s\n", counted(w.Pages, "page"), control.Size(w.FreedBytes), rest(w))
		})
}

func writebackCommand() *cobra.Command {
	var most size
	return simple("writeback [--bytes SIZE]", "Write cold pages to disk now", "Write the coldest pages to the backing file.", noArguments,
		func(c *cobra.Command) { c.Flags().Var(&most, "bytes", "at most so much; without it, all that is idle") },
		func(ctx context.Context, c *control.Client, _ []string, out io.Writer) error {
			w, err := c.WriteBack(ctx, int64(most))
			return tell(out, err, "wrote %s, freed %s%s\n", counted(w.Pages, "page"), control.Size(w.FreedBytes), rest(w))
		})
}

func reloadCommand() *cobra.Command {
	return simple("reload", "Read the configuration again", "Read the configuration again and apply what can change while it serves. One that is broken changes nothing.",
		noArguments, nil, func(ctx context.Context, c *control.Client, _ []string, out io.Writer) error {
			changes, err := c.Reload(ctx)
			if err == nil && len(changes) == 0 {
				_, err = fmt.Fprintln(out, "nothing has changed")
			}
			for _, ch := range changes {
				err = errors.Join(err, writeChange(out, ch))
			}
			return err
		})
}

func setCommand() *cobra.Command {
	return simple("set KEY=VALUE", "Change a setting", `Change a setting that can change while it serves, until the configuration is read again: zswapd reload, a restart.
zswapd status --settings lists them.`,
		arguments(1, 1), nil, func(ctx context.Context, c *control.Client, args []string, out io.Writer) error {
			key, value, ok := strings.Cut(args[0], "=")
			if !ok || strings.TrimSpace(key) == "" {
				return run.UsageError{Err: fmt.Errorf("%q: want KEY=VALUE, such as pool.max_pool_percent=40", args[0])}
			}
			ch, err := c.Set(ctx, strings.TrimSpace(key), strings.TrimSpace(value))
			if err != nil {
				return err
			}
			return writeChange(out, ch)
		})
}

func writeChange(out io.Writer, c control.Change) (err error) {
	switch {
	case c.Old == c.New:
		_, err = fmt.Fprintf(out, "%s is %s, as before\n", c.Key, c.New)
	case c.Problem != "":
		err = fmt.Errorf("%s stays %s, not %s: %s", c.Key, c.Old, c.New, c.Problem)
	case c.Applied:
		_, err = fmt.Fprintf(out, "%s is %s, was %s\n", c.Key, c.New, c.Old)
	default:
		_, err = fmt.Fprintf(out, "%s stays %s: %s takes a %s\n", c.Key, c.Old, c.New, c.Needs)
	}
	return err
}

func tell(out io.Writer, err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(out, format, args...)
	}
	return err
}

func rest(w control.Work) string {
	if w.More {
		return "; there is more to do"
	}
	return ""
}

func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func indented(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
