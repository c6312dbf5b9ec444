package swapbench

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

// tries of a run that the OOM killer ends. It strikes now and then although there is swap to be had.
const tries = 3

// Run measures what Complete has prepared. With an error there is a result as well if something was measured before it.
func Run(ctx context.Context, o *Options) (result *Result, err error) {
	release, err := swapdev.LockBench(o.State)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if cleaned, err := swapdev.Clean(ctx, o.State, swapdev.CleanOptions{}); len(cleaned) > 0 || err != nil {
		o.note("after a run that was killed: %s", strings.Join(append(cleaned, text(err)...), "; "))
	}
	r := &Result{Version: Version, Machine: machine.Describe(), Settings: o.settings()}
	if o.PageCluster != LeavePageCluster {
		r.Machine.PageCluster = o.PageCluster
	}
	for _, s := range o.systems {
		hold := HoldAuto
		if s.hold {
			hold = HoldOn
		}
		r.Rows = append(r.Rows, Row{System: s.name, LatencyHold: hold, Default: s == system{name: ours}, Runs: []Figures{}, name: s.String()})
	}
	noise := machine.Watch()
	measured, err := o.rounds(ctx, r.Rows)
	r.Noise = noise()
	if !measured {
		return nil, err
	}
	for i := range r.Rows {
		r.Rows[i].sumUp()
	}
	r.compare()
	return r, err
}

// rounds lets the systems take turns. measured: a run came to its end.
func (o *Options) rounds(ctx context.Context, rows []Row) (measured bool, err error) {
	launch.NeverStop()
	n := len(o.systems)
	for round := range o.Rounds {
		for i := range n {
			i = (i + round) % n
			row := &rows[i]
			o.note("round %d of %d: %s", round+1, o.Rounds, row.name)
			f, fail := o.measure(ctx, o.systems[i], row)
			if f != nil {
				row.Runs = append(row.Runs, *f)
				measured = true
			}
			var killed killedError
			if err = errors.Join(err, fail); fail != nil && !errors.As(fail, &killed) {
				return measured, err
			}
		}
	}
	return measured, err
}

// killedError is a run that was killed each time it was tried. The others go on.
type killedError struct {
	system string
	memory int64
}

func (e killedError) Error() string {
	return fmt.Sprintf("on %s: killed %d times in a row for lack of memory in %s: it may need more --memory, or more --swap", e.system, tries, report.Bytes(e.memory))
}

// measure runs once on a system, and again if the OOM killer ended it.
func (o *Options) measure(ctx context.Context, s system, row *Row) (*Figures, error) {
	for range tries {
		if err := alone(); err != nil {
			return nil, err
		}
		ro := o.options(s)
		if err := ro.Complete(); err != nil {
			return nil, err
		}
		r, err := run.Run(ctx, ro)
		if ctx.Err() != nil {
			return nil, interrupted(ctx, err)
		}
		killed := r != nil && r.Command.OOMKills > 0
		if err = check(s, r, err, killed); err != nil {
			return nil, err
		}
		if !killed {
			f := figuresOf(r)
			return &f, alone()
		}
		row.OOMKilled++
		o.note("on %s: killed for lack of memory", s)
	}
	return nil, killedError{s.String(), o.Memory}
}

// check says what makes a run no measurement.
func check(s system, r *report.Report, err error, killed bool) error {
	var wrong *workload.Failure
	var fault *run.Fault
	switch {
	case err != nil && (!killed || errors.As(err, &wrong) || errors.As(err, &fault)):
		return fmt.Errorf("on %s: %w", s, err)
	case r.Errors.Corrupt > 0 || r.Errors.IO > 0:
		return fmt.Errorf("on %s: %d pages were damaged, and %d requests failed", s, r.Errors.Corrupt, r.Errors.IO)
	case r.Command.ExitCode != 0 && !killed:
		return fmt.Errorf("on %s: %s exited with %d: a command that fails is no measurement", s, strings.Join(r.Command.Args, " "), r.Command.ExitCode)
	}
	return nil
}

// alone refuses to measure while the kernel swaps to another device, where some of the pages would go.
func alone() error {
	names, err := swapdev.On()
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s is on as swap, and would share the pages: turn it off first (swapoff %s)", strings.Join(names, ", "), strings.Join(names, " "))
	}
	return err
}

// interrupted returns why ctx has ended, and what else went wrong.
func interrupted(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return errors.Join(cause, err)
	}
	return err
}

func text(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

func (o *Options) settings() Settings {
	s := Settings{
		Args: append([]string{}, o.Args...), MemoryBytes: o.Memory, SwapBytes: o.Swap,
		Rounds: o.Rounds, Compressor: o.Compressor, Seed: o.Seed, PoolLimitBytes: o.PoolLimit, ColdCodec: o.ColdCodec,
		IdleAfterSeconds: o.IdleAfter.Seconds(), WritebackAfterSeconds: o.WritebackAfter.Seconds(), Backing: o.Backing != "",
	}
	if len(o.Args) == 0 {
		s.Workload, s.SizeBytes, s.DurationSeconds = o.Workload, o.Size, o.Duration.Seconds()
	}
	return s
}
