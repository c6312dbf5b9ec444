package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/pagegen"
)

const (
	forks     = 2                // children at a time, each with as much of the bytes
	childWait = 10 * time.Second // for a child that was told to end
)

// family runs children one after the other, until there were enough touches or the time is over. Those that are there
// then come to their end.
type family struct {
	config   Config // the whole run's
	children int64  // to start; 0: as many as fit in the duration
	began    time.Time

	mu      sync.Mutex // guards what is below
	started int64
	result  Result
	times   times
	err     error // the first that is no Failure, such as the end of the context: then no child is started any more
}

// times are what the accesses of a run took.
type times struct {
	Touch histogram.Snapshot `json:"touch"`
	Fault histogram.Snapshot `json:"fault"`
}

// runForks runs a configuration of mode Fork.
func runForks(ctx context.Context, c Config) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	mix, err := pagegen.ParseMix(c.Pages)
	if err != nil {
		return Result{}, err
	}
	f := &family{config: c, began: time.Now()}
	f.result = Result{Pages: c.Bytes / pageSize, Composition: mix.String(), Threads: c.Threads, Seed: c.Seed}
	if c.Touches > 0 {
		touches := f.child(0).Touches
		f.children = (c.Touches + touches - 1) / touches
	}
	var all sync.WaitGroup
	for range forks {
		all.Go(func() {
			for n, ok := f.next(); ok; n, ok = f.next() {
				f.add(runChild(ctx, f.child(n)))
			}
		})
	}
	all.Wait()
	res := &f.result
	res.TouchSeconds = time.Since(f.began).Seconds()
	if res.TouchSeconds > 0 {
		res.TouchesPerSecond = float64(res.Touches) / res.TouchSeconds
	}
	res.Touch, res.Fault = newLatency(f.times.Touch), newLatency(f.times.Fault)
	if ctx.Err() != nil {
		f.err = context.Cause(ctx)
	}
	if res.First != nil {
		f.err = errors.Join(res.First, f.err)
	}
	return *res, f.err
}

// child returns the configuration of child n: it touches as often as it has pages, each other pages than the others.
func (f *family) child(n int64) Config {
	c := f.config
	c.Mode, c.Bytes, c.Duration, c.Seed = Random, f.config.Bytes/forks, 0, f.config.Seed+uint64(n)
	c.Touches = c.Bytes / pageSize
	return c
}

// next returns the number of the next child, if there is to be one.
func (f *family) next() (n int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	late := f.config.Duration > 0 && time.Since(f.began) >= f.config.Duration && f.started > 0
	if f.err != nil || late || f.children > 0 && f.started == f.children {
		return 0, false
	}
	n = f.started
	f.started++
	return n, true
}

// add adds what a child did.
func (f *family) add(r Result, t *times, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if failure := (*Failure)(nil); f.err == nil && err != nil && !errors.As(err, &failure) {
		f.err = err
	}
	sum := &f.result
	sum.Children++
	sum.Touches += r.Touches
	sum.Writes += r.Writes
	sum.FillSeconds += r.FillSeconds
	sum.VerifySeconds += r.VerifySeconds
	sum.Verified += r.Verified
	sum.Failures += r.Failures
	if sum.First == nil {
		sum.First = r.First
	}
	if t != nil {
		f.times.Touch, f.times.Fault = f.times.Touch.Add(&t.Touch), f.times.Fault.Add(&t.Fault)
	}
	if f.config.Progress != nil {
		f.config.Progress(Progress{Phase: "touch", Done: sum.Touches, Elapsed: time.Since(f.began), Failures: sum.Failures})
	}
}

// runChild runs c in a process of its own, which ends with us.
func runChild(ctx context.Context, c Config) (Result, *times, error) {
	runtime.LockOSThread() // a process's wish to die with its parent is tied to the thread that started it
	defer runtime.UnlockOSThread()
	config, err := json.Marshal(c)
	if err != nil {
		return Result{}, nil, err
	}
	cmd := exec.CommandContext(ctx, c.Child[0], c.Child[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childWait
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(config), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return Result{}, nil, fmt.Errorf("workload: child: %w", err)
	}
	r, t, err := follow(out, nil)
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("workload: child: %w", ended)
	}
	return r, t, err
}
