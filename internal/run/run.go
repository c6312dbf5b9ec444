package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/workload"
)

// Run runs the command, or the built-in workload, under its limit, and takes everything down again. The report is nil if
// the command did not run; an error beside a report is what went wrong otherwise, a page of the workload that came back
// wrong among it. Signals that end programs are passed on to the command. ctx matters until the command runs.
func Run(ctx context.Context, o *Options) (r *report.Report, err error) {
	s, err := setUp(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fault(s.takeDown())) }()
	before, noise := takeUsage(), machine.Watch()
	m := startMonitor(s.pool, s.device, s.memory, s.group, o)
	broken := s.watchDoor()
	c, err := s.command(ctx)
	err = errors.Join(err, fault(broken()))
	own, all, peak := takeUsage().since(before), noise(), m.close()
	if c == nil {
		return nil, err
	}
	r = s.report(c)
	r.Trace = s.trace.finish(o)
	r.Swap.PeakUsedBytes, r.Swap.PeakMemoryBytes, r.Swap.MemoryAtPeakBytes = peak.used, peak.memory, peak.memoryThen
	r.Daemon, r.Machine = own, all
	return r, err
}

// watchDoor ends the command if the server fails, so that what is swapped out can be brought back. The function that it
// returns ends the watch and tells what was seen.
func (s *session) watchDoor() (end func() error) {
	if s.door == nil {
		return func() error { return nil }
	}
	stop, result := make(chan struct{}), make(chan error)
	go func() {
		select {
		case <-stop:
			result <- nil
		case err := <-s.door.Failed():
			s.o.note("a bug of ours: ending the command and turning swap off")
			result <- errors.Join(err, s.group.Kill(killLimit))
		}
	}()
	return func() error {
		close(stop)
		return <-result
	}
}

// Fault is what went wrong on our side, whatever became of the command: the server failed, or something could not be taken down.
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

func fault(err error) error {
	if err != nil {
		err = &Fault{err}
	}
	return err
}

// Interrupted is the cause of a context that a signal has ended.
type Interrupted struct{ Signal syscall.Signal }

func (i Interrupted) Error() string { return "interrupted: " + i.Signal.String() }

// finished is a command that has ended.
type finished struct {
	args     []string
	status   launch.Status
	wall     time.Duration
	workload *workload.Result
}

// command starts the command or the workload in the group, and waits for it.
func (s *session) command(ctx context.Context) (*finished, error) {
	spec := launch.Spec{Args: s.o.Args, Join: s.group.ProcsFile(), Undo: s.o.Before}
	if len(s.o.Args) > 0 {
		spec.Std[1] = s.o.Stdout
		return s.start(ctx, spec, nil)
	}
	in, out, closeAll, err := workloadPipes(s.o)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	spec.Args = s.o.Self
	spec.Std = [3]*os.File{in, out.write, nil}
	return s.start(ctx, spec, out)
}

func (s *session) start(ctx context.Context, spec launch.Spec, out *resultPipe) (f *finished, err error) {
	f = &finished{args: spec.Args}
	began := time.Now()
	p, err := launch.Start(spec)
	if err != nil {
		var failed *launch.Error
		if errors.As(err, &failed) {
			return nil, usagef("%s", failed.Reason)
		}
		return nil, err
	}
	stop := p.Relay()
	defer stop()
	if early := (Interrupted{}); errors.As(context.Cause(ctx), &early) { // it came before there was anybody to pass it on to
		_ = p.Signal(early.Signal)
	}
	if out != nil {
		f.args = []string{"the built-in workload"}
		if wrong := out.follow(s.o); !errors.Is(wrong, workload.ErrNoResult) {
			f.workload = &out.result
			defer func() { err = errors.Join(err, unlessEnded(ctx, wrong)) }()
		}
	}
	f.status, err = p.Wait()
	f.wall = time.Since(began)
	return f, err
}

// unlessEnded returns what the workload has to complain of; not that it was ended.
func unlessEnded(ctx context.Context, err error) error {
	if wrong := (*workload.Failure)(nil); ctx.Err() != nil && !errors.As(err, &wrong) {
		return nil
	}
	return err
}

// resultPipe is what the workload writes to us.
type resultPipe struct {
	read, write *os.File
	result      workload.Result
	err         error
}

func (p *resultPipe) follow(o *Options) error {
	p.write.Close() // the child has it; without this the end would never come
	p.result, p.err = workload.Follow(p.read, func(w workload.Progress) {
		if o.Live == nil && w.Total > 0 {
			o.note("%s: %s of %s", w.Phase, report.Count(w.Done), report.Count(w.Total))
		}
	})
	return p.err
}

// workloadPipes returns what the workload reads its configuration from, and what it writes to.
func workloadPipes(o *Options) (in *os.File, out *resultPipe, closeAll func(), err error) {
	in, err = os.CreateTemp("", "zswapd-workload-")
	if err != nil {
		return nil, nil, nil, err
	}
	config := workloadConfig(o)
	_, err = in.Write(config)
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	err = errors.Join(err, os.Remove(in.Name()))
	out = new(resultPipe)
	if err == nil {
		out.read, out.write, err = os.Pipe()
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, in.Close())
	}
	return in, out, func() { in.Close(); out.read.Close(); out.write.Close() }, nil
}

// report puts together what is known when the command has ended.
func (s *session) report(c *finished) *report.Report {
	u := c.status.Usage
	r := &report.Report{
		Version:    report.Version,
		LimitBytes: s.o.Memory,
		Workload:   c.workload,
		Command: report.Command{
			Args: c.args, ExitCode: c.status.Code, WallSeconds: c.wall.Seconds(),
			UserSeconds: seconds(u.Utime), SystemSeconds: seconds(u.Stime),
			MaxRSSBytes: u.Maxrss << 10, MajorFaults: u.Majflt,
		},
	}
	if g, err := s.group.Stats(); err == nil {
		r.Command.MajorFaults = max(u.Majflt, int64(g.MajorFaults))
		r.Command.OOMKills = g.OOMKills
	}
	if s.pool != nil {
		st := s.pool.Stats()
		fillPool(r, &st, s.pool)
	}
	if s.device != nil {
		r.Swap.Device, r.Swap.SizeBytes = s.device.Device(), s.o.Swap
	}
	if s.door != nil {
		now := s.door.Stats()
		r.Swap.PagesOut = now.WrittenPages - s.opened.WrittenPages
		r.Swap.PagesIn = now.ReadPages - s.opened.ReadPages
		r.Swap.DiscardedPages = now.DiscardedPages - s.opened.DiscardedPages
		r.Errors.IO = now.Errors()
	}
	return r
}

// InProcess runs the built-in workload against the pool in this process: what there is without root.
func InProcess(ctx context.Context, o *Options) (*report.Report, error) {
	if len(o.Args) > 0 || o.NoSwap {
		return nil, errors.New("only root may swap: run it with sudo, or without a command to try the pool alone")
	}
	o.note("not root, so this is not kernel swap: the built-in workload uses the pool in this process. Run it with sudo for the real thing")
	p, err := newPool(o)
	if err != nil {
		return nil, err
	}
	before := takeUsage()
	began := time.Now()
	c := workloadOf(o)
	c.Resident = o.Memory
	m := startMonitor(p, nil, nil, nil, o)
	w := p.NewWorker()
	rec, err := startRecording(o)
	if err != nil {
		m.close()
		return nil, errors.Join(err, p.DropBacking(), p.Close())
	}
	result, err := workload.RunPool(ctx, c, rec.around(w))
	if errors.Is(err, workload.ErrRefused) {
		err = fmt.Errorf("%w: give it more with --pool-limit, or a disk with --backing", err)
	}
	m.close()
	st, own := p.Stats(), takeUsage().since(before)
	r := &report.Report{
		Version: report.Version, LimitBytes: o.Memory, Workload: &result, Daemon: own,
		Command: report.Command{Args: []string{"the built-in workload"}, WallSeconds: time.Since(began).Seconds(), UserSeconds: own.UserSeconds, SystemSeconds: own.SystemSeconds, MaxRSSBytes: own.RSSBytes},
		Trace:   rec.finish(o),
	}
	if err != nil {
		r.Command.ExitCode = 1
	}
	fillPool(r, &st, p)
	r.Swap.PagesOut, r.Swap.PagesIn, r.Swap.DiscardedPages = st.Stores, st.Loads, st.Invalidated
	r.Swap.PeakUsedBytes = r.Pool.PeakStoredPages * 4096
	runtime.KeepAlive(w)
	return r, errors.Join(err, p.DropBacking(), p.Close())
}
