package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/replay"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
)

func benchReplayCommand() *cobra.Command {
	o, limit, speed := replay.Options{}, size(0), "max"
	var jsonFile, htmlFile string
	c := &cobra.Command{
		Use:   "replay [flags] FILE",
		Short: "Do to a pool what a trace says was done to a swap device",
		Long: `Replay what "zswapd run --record FILE" has recorded: the same stores, loads and frees of the same pages, in a new
pool, and in what it is to be compared with. Every page that comes back is compared with the one that was stored.`,
		Example: `  sudo zswapd run --record make.trace -- make test
  zswapd bench replay make.trace --codec zstd
  sudo zswapd bench replay make.trace --against zram:lz4 --html make.html`,
		DisableFlagsInUseLine: true,
		Args:                  oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if speed != "max" && speed != "as-recorded" {
				return run.UsageError{Err: fmt.Errorf("--speed %q: want max or as-recorded", speed)}
			}
			o.File, o.PoolLimit, o.Recorded = args[0], int64(limit), speed != "max"
			out, err := newOutputs(output{"--json", jsonFile}, output{"--html", htmlFile})
			if err != nil {
				return err
			}
			r, err := replayWith(c, &o)
			if r == nil {
				return err
			}
			return errors.Join(err, r.WriteText(out.text), out.write("--json", r.WriteJSON),
				out.write("--html", func(w io.Writer) error { return r.WriteHTML(w, os.Args) }))
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&speed, "speed", speed, "max, or as-recorded: each call when it was made")
	f.StringVar(&o.Codec, "codec", "", "codec of the pool (default that of the trace)")
	f.Var(&limit, "pool-limit", "limit of the pool's memory, all overhead counted (default that of the trace)")
	f.IntVar(&o.Threads, "threads", 1, "threads that store and load")
	f.StringSliceVar(&o.Against, "against", nil, "other systems to replay in, such as zram:lz4 or pool:zstd")
	f.StringVar(&jsonFile, "json", "", "write the result to this file as JSON; - for the standard output")
	f.StringVar(&htmlFile, "html", "", "write the result to this file as a page with charts; - for the standard output")
	f.StringVar(&o.State, "state", swapdev.DefaultDir, "folder of records of what runs have made")
	_ = f.MarkHidden("state")
	_ = c.RegisterFlagCompletionFunc("codec", cobra.FixedCompletions(compressor.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("speed", cobra.FixedCompletions([]string{"max", "as-recorded"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func oneFile(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return run.UsageError{Err: fmt.Errorf("want one file: %s", c.UseLine())}
	}
	return nil
}

func replayWith(c *cobra.Command, o *replay.Options) (*replay.Report, error) {
	show, end := progress(os.Stderr)
	defer end()
	o.Progress = func(system string, done float64) { show(int(1000*done), 1000, system) }
	ctx, stop := tidying(c.Context())
	defer stop()
	if len(o.Against) > 0 {
		cleanDead(ctx, o.State)
	}
	return replay.Run(ctx, o)
}
