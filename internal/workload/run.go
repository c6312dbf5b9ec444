package workload

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
)

// run is one run of a configuration.
type run struct {
	config  Config
	source  pagegen.Source
	workers []*worker
	phase   string
	stop    atomic.Bool // the context has ended
}

// Run runs c over anonymous memory of this process. The error is the first Failure, the context's if it cut the run
// short, or that of a wrong configuration. Meanwhile the process has as many Ps as threads, and one, and next to no
// garbage collection.
func Run(ctx context.Context, c Config) (Result, error) {
	if c.Mode == Fork {
		return runForks(ctx, c)
	}
	procs := runtime.GOMAXPROCS(c.Threads + 1)
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(64 << 20)
	defer func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	return start(ctx, c, func(_ int64, pages int) (memory, error) { return newRegion(pages) })
}

// RunPool runs c over frames of c.Resident bytes in all, and the pool. A pool that refuses a page
// ends the run, with ErrRefused.
func RunPool(ctx context.Context, c Config, pool Pool) (Result, error) {
	if c.Resident <= 0 {
		return Result{}, errors.New("workload: no resident bytes")
	}
	if c.Mode == Fork {
		return Result{}, errors.New("workload: children have no pool to use")
	}
	return start(ctx, c, func(first int64, pages int) (memory, error) {
		return newResident(pool, first, pages, int(c.Resident/pageSize)/c.Threads), nil
	})
}

func start(ctx context.Context, c Config, open func(first int64, pages int) (memory, error)) (res Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	mix, err := pagegen.ParseMix(c.Pages)
	if err != nil {
		return Result{}, err
	}
	r := &run{config: c, source: pagegen.Source{Mix: mix, Seed: c.Seed}}
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()
	defer func() {
		for _, w := range r.workers {
			err = errors.Join(err, w.mem.close())
		}
	}()
	pages, threads := c.Bytes/pageSize, int64(c.Threads)
	for i := range threads {
		first, end := pages*i/threads, pages*(i+1)/threads
		mem, err := open(first, int(end-first))
		if err != nil {
			return Result{}, err
		}
		r.workers = append(r.workers, newWorker(r, i, mem, first, int(end-first)))
	}
	res = Result{Pages: pages, Composition: mix.String(), Threads: c.Threads, Seed: c.Seed}
	r.all(&res)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if res.First != nil {
		err = errors.Join(res.First, err)
	}
	for _, w := range r.workers {
		err = errors.Join(err, w.refused)
	}
	return res, err
}

// all runs the phases and sums up.
func (r *run) all(res *Result) {
	res.FillSeconds = r.each("fill", res.Pages, func(w *worker, i int) bool {
		if i == len(w.versions) {
			return false
		}
		w.fillOne(i)
		return true
	})
	began, touches := time.Since(epoch), r.config.Touches
	res.TouchSeconds = r.each("touch", touches, func(w *worker, i int) bool {
		if i == 0 {
			w.seen = w.mem.faults() // of this thread
		}
		if touches > 0 && int64(i) == w.touches || r.config.Duration > 0 && time.Since(epoch)-began >= r.config.Duration {
			return false
		}
		w.touchOne(w.pattern.next())
		return true
	})
	for _, w := range r.workers {
		res.Touches += w.done.Load()
	}
	res.VerifySeconds = r.each("verify", res.Pages, func(w *worker, i int) bool {
		if i == len(w.versions) {
			return false
		}
		w.verifyOne(i)
		return true
	})
	var all times
	for _, w := range r.workers {
		t, f := w.touch.Snapshot(), w.fault.Snapshot()
		all.Touch, all.Fault = all.Touch.Add(&t), all.Fault.Add(&f)
		res.Verified += w.done.Load()
		res.Writes += w.writes
		res.Failures += w.failures.Load()
		if w.failure != nil && (res.First == nil || w.failure.Page < res.First.Page) {
			res.First = w.failure
		}
	}
	res.Touch, res.Fault, res.times = newLatency(all.Touch), newLatency(all.Fault), &all
	if res.TouchSeconds > 0 {
		res.TouchesPerSecond = float64(res.Touches) / res.TouchSeconds
	}
}

// each runs step for i = 0, 1, … on every worker, each on its own OS thread, until it returns false or the run is
// stopped, and returns how many seconds that took.
func (r *run) each(phase string, total int64, step func(w *worker, i int) bool) float64 {
	r.phase = phase
	began := time.Now()
	report := r.report(phase, total, began)
	var all sync.WaitGroup
	for _, w := range r.workers {
		w.done.Store(0)
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			debug.SetPanicOnFault(true) // of this goroutine
			for i := 0; !r.stop.Load() && step(w, i); i++ {
				w.done.Add(1)
			}
		})
	}
	all.Wait()
	seconds := time.Since(began).Seconds()
	report()
	return seconds
}
