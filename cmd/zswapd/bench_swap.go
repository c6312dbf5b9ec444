package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapbench"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

func benchSwapCommand() *cobra.Command {
	memory, size, swap, limit := size(256<<20), size(512<<20), size(0), size(0)
	o := swapbench.Options{Progress: os.Stderr, Self: []string{"/proc/self/exe", workloadName}, Seed: 1}
	var jsonFile, goFile, htmlFile string
	c := &cobra.Command{
		Use:   "swap [flags] [-- COMMAND ARG...]",
		Short: "Measure a command or a workload on our swap device, beside zram, a swap file, and no limit",
		Long: `Run a command, or a built-in workload, in the same memory on each of several swap devices, in turn, and compare:
time, faults, memory, and where the CPUs' seconds went. Every device is made for it and removed. No other swap may be on.
The command's output goes to standard error. The built-in workload compares every page.`,
		Example: `  sudo zswapd bench swap
  sudo zswapd bench swap --workload zipf --latency-hold both --page-cluster 0
  sudo zswapd bench swap --memory 240M --against zram:lz4,file --swap-dir /var/tmp -- make test`,
		DisableFlagsInUseLine: true,
		Args:                  commandAfterDashes,
		RunE: func(c *cobra.Command, args []string) error {
			o.Args, o.Memory, o.Size, o.Swap, o.PoolLimit = args, int64(memory), int64(size), int64(swap), int64(limit)
			out, err := newOutputs(output{"--json", jsonFile}, output{"--gobench", goFile}, output{"--html", htmlFile})
			if err != nil {
				return err
			}
			r, err := benchSwap(c, &o)
			if r != nil {
				err = errors.Join(err, r.WriteText(out.text), out.write("--json", r.WriteJSON), out.write("--gobench", r.WriteGoBench),
					out.write("--html", func(w io.Writer) error { return r.WriteHTML(w, os.Args) }))
			}
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.Var(&memory, "memory", "limit of the command's memory")
	f.StringVar(&o.Workload, "workload", workload.Random, "the built-in one, without a command: "+strings.Join(workload.Names(), ", "))
	f.Var(&size, "size", "what the workload touches")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "of the workload's touches, in each run")
	f.IntVar(&o.Rounds, "rounds", 3, "runs on each device, of which the median is taken")
	f.StringSliceVar(&o.Against, "against", nil, "what to measure beside zswapd: none (no limit), zram:ALGORITHM, file (default none,zram:lz4)")
	f.StringVar(&o.SwapDir, "swap-dir", ".", "folder for the swap file, on a disk")
	f.Var(&swap, "swap", "size of a swap device (default 1G, or twice the workload, four times the memory of a command)")
	f.StringVar(&o.Hold, "latency-hold", swapbench.HoldAuto, "keep idle CPUs awake: auto (as each device comes), on (for all), both (one after the other)")
	f.IntVar(&o.PageCluster, "page-cluster", swapbench.LeavePageCluster, "set vm.page-cluster for the whole machine meanwhile: 2^N pages are read at a fault (default as it is)")
	f.StringVar(&o.Compressor, "compressor", compressor.Default, "codec of our pool")
	f.Var(&limit, "pool-limit", "hard limit of our pool (default half of the memory that is free)")
	f.StringVar(&o.ColdCodec, "cold-codec", run.DefaultColdCodec, "codec that our pool packs idle pages with again; none: it leaves them")
	f.DurationVar(&o.IdleAfter, "idle-after", run.DefaultIdleAfter, "how long a page is not asked for until it is idle")
	f.StringVar(&o.Backing, "backing", "", "folder or file that our pool writes idle pages to, encrypted")
	f.DurationVar(&o.WritebackAfter, "writeback-after", 0, "write pages that were idle for so long, though there is room")
	f.StringVar(&jsonFile, "json", "", "write the result to this file as JSON; - for the standard output")
	f.StringVar(&goFile, "gobench", "", "write the result to this file as Go benchmarks, for benchstat; - for the standard output")
	f.StringVar(&htmlFile, "html", "", "write the result to this file as a page with charts; - for the standard output")
	f.StringVar(&o.State, "state", swapdev.DefaultDir, "folder of records of what runs have made")
	_ = f.MarkHidden("state")
	f.Lookup("page-cluster").DefValue = "0" // not shown
	_ = c.RegisterFlagCompletionFunc("compressor", cobra.FixedCompletions(compressor.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions(workload.Names(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func benchSwap(c *cobra.Command, o *swapbench.Options) (*swapbench.Result, error) {
	if err := o.Complete(); err != nil {
		return nil, err
	}
	steps, before := guard.Protect(guard.Options{})
	for _, s := range steps {
		if !s.OK {
			fmt.Fprintf(os.Stderr, "zswapd: warning: %s\n", s)
		}
	}
	o.Before = before.String()
	if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
		o.Live = run.NewLiveLine(os.Stderr, width)
	} else {
		o.Live = run.NewLiveLine(io.Discard, 0) // one line a run is enough
	}
	ctx, stop := tidying(c.Context())
	defer stop()
	return swapbench.Run(ctx, o)
}
