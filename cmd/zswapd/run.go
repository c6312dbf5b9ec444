package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

// size is a flag like 256M or 1.5GiB, in powers of 1024.
type size int64

// maxSize is more than any machine has, and few enough bytes that two sizes can be added.
const maxSize = 1 << 60

var sizeText = regexp.MustCompile(`^[0-9.]+ ?[a-zA-Z]*$`)

func (s *size) Set(text string) error {
	n, err := units.RAMInBytes(text)
	if err != nil || n <= 0 || n > maxSize || !sizeText.MatchString(text) {
		return fmt.Errorf("%q is no size: want a number with a unit, such as 256M or 1.5G", text)
	}
	*s = size(n)
	return nil
}

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return report.Bytes(int64(*s))
}
func (*size) Type() string { return "size" }

// rate is a number of faults per second, auto, or off.
type rate float64

func (r *rate) Set(text string) error {
	switch text {
	case "off":
		*r = run.HoldOff
		return nil
	case "auto":
		*r = run.HoldAuto
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= 1e9) {
		return fmt.Errorf("%q: want a number of faults per second, auto, or off", text)
	}
	*r = rate(n)
	return nil
}

func (r *rate) String() string {
	switch *r {
	case run.HoldOff:
		return "off"
	case run.HoldAuto:
		return "auto"
	}
	return strconv.FormatFloat(float64(*r), 'f', -1, 64)
}
func (*rate) Type() string { return "rate" }

func runCommand(code *int) *cobra.Command {
	memory, swap, pool, hold := size(256<<20), size(4<<30), size(0), rate(run.HoldAuto)
	backing, daily := size(0), size(0)
	o := run.Options{Progress: os.Stderr, Self: []string{"/proc/self/exe", workloadName}}
	var file string
	c := &cobra.Command{
		Use:   "run [flags] [-- COMMAND ARG...]",
		Short: "Run a command in less memory than it needs, swapping to compressed memory",
		Long: `Run a command in a memory cgroup with a limit. What does not fit is swapped by the kernel into a compressed
pool in this process, and comes back when it is touched. Ends with a report; the command's exit code becomes ours.

Without a command, a built-in workload fills four times the limit with realistic pages, touches them at random and
verifies every byte. Without root, it does so against the pool in this process: no kernel swap, but the same numbers.`,
		Example: `  sudo zswapd run
  sudo zswapd run --memory 512M -- make test
  sudo zswapd run --memory 512M --no-swap -- make test`,
		DisableFlagsInUseLine: true,
		Args:                  commandAfterDashes,
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				if err := checkWritable("--report", file); err != nil {
					return err
				}
			}
			o.Args, o.Memory, o.Swap, o.PoolLimit, o.HoldRate = args, int64(memory), int64(swap), int64(pool), float64(hold)
			if !c.Flags().Changed("swap") && len(args) == 0 {
				o.Swap = max(o.Swap, run.WorkloadTimes*o.Memory)
			}
			if o.IdleAfter == 0 {
				return run.UsageError{Err: errors.New("--idle-after 0: want some time, or --cold-codec none")}
			}
			o.BackingSize, o.WritebackLimit = int64(backing), int64(daily)
			r, err := runWith(c, &o)
			if r != nil {
				*code = r.Command.ExitCode
				text := r.WriteText(os.Stderr)
				if errors.Is(text, syscall.EPIPE) {
					text = nil // nobody reads it
				}
				err = errors.Join(err, text, writeJSON(file, r))
			}
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.Var(&memory, "memory", "limit of the command's memory")
	f.Var(&swap, "swap", "size of the swap device")
	f.Var(&pool, "pool-limit", "limit of the pool's memory, all overhead counted (default half of what is free)")
	f.StringVar(&o.Compressor, "compressor", compressor.Default, "codec of the pool")
	f.StringVar(&o.Backing, "backing", "", "write idle pages, encrypted, to this file or block device, or to a file without a name in this folder")
	f.Var(&backing, "backing-size", "bytes of it that are used at most (default the size of the swap device)")
	f.DurationVar(&o.WritebackAfter, "writeback-after", 0, "write pages that were idle for so long, though there is room in memory; 0: when there is none")
	f.Var(&daily, "writeback-limit", "bytes written in 24 hours at most: disks wear out (default no limit)")
	f.StringVar(&o.ColdCodec, "cold-codec", run.DefaultColdCodec, "codec that packs pages again when they are idle, neighbours together; none: they stay as they are")
	f.DurationVar(&o.IdleAfter, "idle-after", run.DefaultIdleAfter, "how long a page is not asked for until it is idle")
	f.StringVar(&file, "report", "", "write the report to this file, as JSON")
	f.StringVar(&o.Record, "record", "", "record what the device is asked, with other programs' pages, to this new file; see bench replay")
	f.BoolVar(&o.RecordSizes, "record-sizes", false, "record what pages compress to in the place of the pages")
	f.BoolVar(&o.NoSwap, "no-swap", false, "do not swap: what the limit does without us")
	f.IntVar(&o.Priority, "priority", swapdev.MaxPriority, "priority of the swap device among others")
	f.Var(&hold, "latency-hold", "faults per second from which on idle CPUs are kept awake, off, or auto: 200 where waking one takes long")
	f.DurationVar(&o.SpinMax, "spin", run.DefaultSpin, "longest time to spin for the next request; 0 for never")
	f.StringVar(&o.Transport, "transport", run.TransportAuto, "how requests reach us: dev (read and write), uring (io_uring, Linux 6.14: less CPU), or auto, which is dev")
	f.StringVar(&o.State, "state", swapdev.DefaultDir, "folder of records of what runs have made")
	_ = f.MarkHidden("state")
	f.StringVar(&o.Workload, "workload", workload.Random, "the built-in one: "+strings.Join(workload.Names(), ", "))
	f.Uint64Var(&o.Seed, "seed", 1, "of the built-in workload")
	_ = c.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions(workload.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("compressor", cobra.FixedCompletions(compressor.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("cold-codec", cobra.FixedCompletions(compressor.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions([]string{run.TransportAuto, run.TransportDev, run.TransportURing}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// commandAfterDashes refuses "run make": the flags of a command would be taken for ours.
func commandAfterDashes(c *cobra.Command, args []string) error {
	if at := c.ArgsLenAtDash(); len(args) > 0 && at != 0 {
		return run.UsageError{Err: fmt.Errorf("put -- before the command: %s -- %s", c.CommandPath(), args[0])}
	}
	return nil
}

func runWith(c *cobra.Command, o *run.Options) (*report.Report, error) {
	if err := o.Complete(); err != nil {
		return nil, err
	}
	ctx, stop := tidying(c.Context())
	defer stop()
	if os.Geteuid() != 0 {
		return run.InProcess(ctx, o)
	}
	if !o.NoSwap {
		steps, before := guard.Protect(guard.Options{})
		for _, s := range steps {
			if !s.OK {
				fmt.Fprintf(os.Stderr, "zswapd: warning: %s\n", s)
			}
		}
		o.Before = before.String()
	}
	if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
		o.Live = run.NewLiveLine(os.Stderr, width)
	}
	return run.Run(ctx, o)
}

// tidying is interruptible for those who make what must not be left behind: who reads what we print and leaves does not end us either.
func tidying(parent context.Context) (ctx context.Context, stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	return interruptible(parent)
}

// interruptible returns a context that a signal ends, with the signal as the cause. Signals no longer end us.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	launch.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		if s, ok := (<-signals).(syscall.Signal); ok {
			cancel(run.Interrupted{Signal: s})
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

func writeJSON(file string, r *report.Report) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(r.WriteJSON(f), f.Close())
}
