package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/run"
)

// sampleFlags are those of capture and estimate.
type sampleFlags struct {
	target capture.Target
	most   size
	seed   uint64
}

func (s *sampleFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	s.most = 64 << 20
	f.IntVar(&s.target.PID, "pid", 0, "of one process")
	f.StringVar(&s.target.Cgroup, "cgroup", "", "of the processes of a cgroup and those below it: its folder, or its path as /proc/PID/cgroup has it")
	f.BoolVar(&s.target.System, "system", false, "of all processes but kernel threads and ourselves")
	f.Var(&s.most, "max", "most memory to look at; of more, a uniform sample is taken")
	f.Uint64Var(&s.seed, "seed", 1, "of the sample")
}

// processes returns whom the flags mean; also is another mistake that the user made, to be told with the rest. Without
// root nobody can be looked at.
func (s *sampleFlags) processes(also error) ([]int, error) {
	pids, err := s.target.Processes()
	if int64(s.most) < capture.RunPages*capture.PageSize {
		err = errors.Join(err, fmt.Errorf("--max %s: a sample has at least one run of 64 KiB", &s.most))
	}
	if err = errors.Join(err, also); err != nil {
		return nil, run.UsageError{Err: err}
	}
	return pids, capture.Allowed()
}

func captureCommand() *cobra.Command {
	var flags sampleFlags
	var file string
	var force, all bool
	c := &cobra.Command{
		Use:   "capture {--pid N | --cgroup PATH | --system} -o FILE",
		Short: "Write a sample of the memory of running programs to a file, to measure with",
		Long: `Write resident anonymous pages of running programs, raw, 4 KiB each, to a file that zswapd bench reads. They come
in runs of 16 neighbours, in the order of process and address. The programs run on and notice nothing.

The file holds memory of other programs: whatever they work on. Stacks, locked memory (mlock), memory that is not to be
dumped (MADV_DONTDUMP), memory that the program itself may not read, and devices are left out; --all takes the first
three as well, which is where programs keep keys and passwords. Secret memory (memfd_secret) cannot be read at all.`,
		Example: `  sudo zswapd capture --pid $(pidof redis-server) -o redis.bin
  sudo zswapd capture --cgroup /system.slice -o services.bin --max 256M
  sudo zswapd capture --system -o all.bin`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			pids, err := flags.processes(capture.CheckFile(file, force))
			if err != nil {
				return err
			}
			warn(capture.Private())
			ctx, stop := tidying(c.Context())
			defer stop()
			show, end := progress(os.Stderr)
			defer end()
			pop, err := capture.Scan(ctx, pids, capture.Options{All: all, Progress: func(done, of int) { show(done, 2*of, "looking for pages") }})
			if err != nil {
				return err
			}
			defer pop.Close()
			of := int(min(int64(flags.most)/capture.PageSize, pop.Pages))
			n, err := pop.WriteFile(ctx, file, force, int64(flags.most)/capture.PageSize, flags.seed, func(done int64) { show(of+int(done), 2*of, "writing pages") })
			end()
			if err != nil {
				return err
			}
			return pop.WriteText(os.Stderr, file, n, all)
		},
	}
	flags.add(c)
	f := c.Flags()
	f.StringVarP(&file, "output", "o", "", "the file")
	f.BoolVar(&force, "force", false, "replace a file that is there")
	f.BoolVar(&all, "all", false, "also stacks, locked memory and what is not to be dumped: where programs keep their secrets")
	return c
}

// warn prints what could not be done, and does not stop for it.
func warn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "zswapd: warning: %v\n", err)
	}
}
