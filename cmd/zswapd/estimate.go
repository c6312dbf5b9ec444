package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/estimate"
)

func estimateCommand() *cobra.Command {
	var flags sampleFlags
	var file string
	c := &cobra.Command{
		Use:   "estimate {--pid N | --cgroup PATH | --system} [--json FILE]",
		Short: "Say what compressed swap would give for running programs",
		Long: `Look at a sample of the resident anonymous pages of running programs, compress them with each codec in a pool of
zswapd's own, and say what compressed swap would give here: ratios, time per page, memory freed, and what to choose.

Nothing is swapped and nothing is kept: the sample is in locked memory and never in a file. The programs run on and
notice nothing. Stacks, locked memory and memory that is not to be dumped are left out, as by zswapd capture.`,
		Example: `  sudo zswapd estimate --system
  sudo zswapd estimate --pid $(pidof java)
  sudo zswapd estimate --cgroup /system.slice --json -`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			out, bad := newOutputs(output{"--json", file})
			pids, err := flags.processes(bad)
			if err != nil {
				return err
			}
			warn(capture.Private())
			r, err := estimateOf(c, pids, estimate.Options{Target: flags.target.String(), Most: int64(flags.most) / capture.PageSize, Seed: flags.seed})
			if err != nil {
				return err
			}
			return errors.Join(r.WriteText(out.text), out.write("--json", r.WriteJSON))
		},
	}
	flags.add(c)
	c.Flags().StringVar(&file, "json", "", "write the result to this file as JSON; - for the standard output")
	return c
}

// estimateOf looks and measures. When it returns, signals end us again: who reads the result may let us wait.
func estimateOf(c *cobra.Command, pids []int, o estimate.Options) (*estimate.Report, error) {
	ctx, stop := interruptible(c.Context())
	defer stop()
	show, end := progress(os.Stderr)
	defer end()
	o.Progress = show
	return estimate.Run(ctx, pids, o)
}
