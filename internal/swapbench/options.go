package swapbench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/internal/zram"
)

// Values of Options.Hold.
const (
	HoldAuto = "auto" // as it comes: zswapd keeps idle CPUs awake where that pays, nobody else does
	HoldOn   = "on"   // idle CPUs are kept awake for every system
	HoldBoth = "both" // each system in both ways
)

// LeavePageCluster leaves vm.page-cluster as it is.
const LeavePageCluster = -1

const (
	maxRounds      = 1000
	maxPageCluster = 31      // the kernel's
	minSwap        = 1 << 30 // default of Swap at least, bytes
)

// Options are what to measure.
type Options struct {
	Args        []string      // the command; empty: the built-in workload
	Workload    string        // its name
	Memory      int64         // limit, bytes
	Size        int64         // of the built-in workload, bytes
	Swap        int64         // size of a swap device, bytes; 0: large enough
	Duration    time.Duration // of the built-in workload's touches
	Rounds      int
	Against     []string // none, zram:ALGORITHM, file; nil: none, and zram:lz4 if there is zram
	SwapDir     string   // for the swap file
	Hold        string
	PageCluster int // or LeavePageCluster
	Compressor  string
	Seed        uint64

	// Of zswapd, as for run.Options.
	PoolLimit                 int64
	ColdCodec                 string
	IdleAfter, WritebackAfter time.Duration
	Backing                   string

	State    string // as for run.Options
	Self     []string
	Before   string
	Progress io.Writer
	Live     *run.LiveLine

	systems []system
}

// system is what is measured.
type system struct {
	name string // zswapd, or as in Against
	hold bool   // idle CPUs are kept awake
}

const (
	ours       = "zswapd"
	none       = "none"
	file       = "file"
	zramPrefix = "zram:"
)

func (s system) String() string {
	if s.hold {
		return s.name + ", hold"
	}
	return s.name
}

func (s system) isZRAM() bool { return strings.HasPrefix(s.name, zramPrefix) }

// usage collects mistakes of the user's.
type usage struct{ errs []error }

func (u *usage) check(bad bool, format string, args ...any) {
	if bad {
		u.errs = append(u.errs, run.UsageError{Err: fmt.Errorf(format, args...)})
	}
}

// Complete fills in what follows from the machine, and reports every mistake at once.
func (o *Options) Complete() error {
	var u usage
	w, err := o.workload()
	u.check(err != nil, "--workload: %w", err)
	u.check(o.Rounds < 1 || o.Rounds > maxRounds, "--rounds %d: want 1 to %d", o.Rounds, maxRounds)
	u.check(o.PageCluster < LeavePageCluster || o.PageCluster > maxPageCluster, "--page-cluster %d: want 0 to %d", o.PageCluster, maxPageCluster)
	u.check(!slices.Contains([]string{HoldAuto, HoldOn, HoldBoth}, o.Hold), "--latency-hold %q: want %s, %s or %s", o.Hold, HoldAuto, HoldOn, HoldBoth)
	u.check(o.Duration <= 0, "--duration %v: want some time", o.Duration)
	if len(o.Args) == 0 && err == nil && o.Duration > 0 {
		err := w.Validate()
		u.check(err != nil, "%w", err)
	}
	for _, name := range o.Against {
		_, algorithm, _ := strings.Cut(name, ":")
		known := name == none || name == file || strings.HasPrefix(name, zramPrefix) && algorithm != ""
		u.check(!known, "--against %q: want %s, %s or %sALGORITHM, such as %slz4", name, none, file, zramPrefix, zramPrefix)
	}
	if err := errors.Join(u.errs...); err != nil {
		return err
	}
	if o.Swap == 0 {
		o.Swap = max(minSwap, 2*o.Size)
		if len(o.Args) > 0 {
			o.Swap = max(minSwap, 4*o.Memory)
		}
	}
	if err := o.options(system{name: ours}).Complete(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("only root may swap: run it with sudo")
	}
	return o.completeSystems()
}

// completeSystems finds out what can be measured on this machine.
func (o *Options) completeSystems() error {
	algorithms, err := zram.Algorithms()
	if o.Against == nil {
		if o.Against = []string{none, zramPrefix + "lz4"}; err != nil {
			o.note("without zram: %v", err)
			o.Against = []string{none}
		}
	}
	var u usage
	names := []string{ours}
	for _, name := range o.Against {
		if algorithm, ok := strings.CutPrefix(name, zramPrefix); ok {
			if err != nil {
				return fmt.Errorf("--against %s: %w", name, err)
			}
			u.check(!slices.Contains(algorithms, algorithm), "--against %s: the kernel's zram knows %s", name, strings.Join(algorithms, ", "))
		}
		if name == file {
			err := swapdev.CheckDisk(o.SwapDir, o.Swap)
			u.check(err != nil, "--against file: %w", err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	free, err := swapdev.MemAvailable()
	if err != nil {
		return err
	}
	u.check(len(o.Args) == 0 && slices.Contains(names, none) && o.Size > unlimited(free)/2,
		"--size %s: the machine has only %s of memory free for the run without a limit; take less, or leave out none with --against", report.Bytes(o.Size), report.Bytes(int64(free)))
	for _, name := range names {
		if o.Hold != HoldOn || name == none { // without swap there is nobody to wait for
			o.systems = append(o.systems, system{name: name})
		}
	}
	for _, name := range names {
		if o.Hold != HoldAuto && name != none {
			o.systems = append(o.systems, system{name: name, hold: true})
		}
	}
	return errors.Join(u.errs...)
}

// unlimited returns the limit of what is to have none: it keeps the machine's other programs in memory.
func unlimited(free uint64) int64 { return int64(free / 4 * 3) }

func (o *Options) workload() (workload.Config, error) {
	c := workload.RandomTouches(o.Duration)
	c.Bytes, c.Seed, c.Child = o.Size, o.Seed, o.Self
	return c.Named(o.Workload)
}

// options returns how to run something on a system.
func (o *Options) options(s system) *run.Options {
	r := &run.Options{
		Args: o.Args, Memory: o.Memory, Swap: o.Swap, Compressor: o.Compressor, Priority: swapdev.MaxPriority, Seed: o.Seed,
		HoldRate: run.HoldAuto, SpinMax: run.DefaultSpin, StayAwake: s.hold,
		State: o.State, Self: o.Self, Before: o.Before, Progress: o.Progress, Live: o.Live, Stdout: os.Stderr,
	}
	if len(o.Args) == 0 {
		if w, err := o.workload(); err == nil {
			r.Work = &w
		}
	}
	if o.PageCluster != LeavePageCluster {
		r.PageCluster = &o.PageCluster
	}
	if s.hold {
		r.HoldRate = run.HoldOff // it is held already
	}
	algorithm, isZRAM := strings.CutPrefix(s.name, zramPrefix)
	switch {
	case s.name == ours:
		r.PoolLimit, r.ColdCodec, r.IdleAfter, r.WritebackAfter, r.Backing = o.PoolLimit, o.ColdCodec, o.IdleAfter, o.WritebackAfter, o.Backing
	case isZRAM:
		r.Device.ZRAM = algorithm
	case s.name == file:
		r.Device.File = o.SwapDir
	case s.name == none:
		r.NoSwap = true
		if free, err := swapdev.MemAvailable(); err == nil {
			r.Memory = max(unlimited(free), o.Memory)
		}
	}
	return r
}

func (o *Options) note(format string, args ...any) {
	o.Live.Clear()
	fmt.Fprintf(o.Progress, "zswapd: "+format+"\n", args...)
}
