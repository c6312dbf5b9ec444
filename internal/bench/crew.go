package bench

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// crew is threads that work at the same time, each on a CPU of its own as far as there are enough.
type crew struct {
	jobs []chan func(thread int)
	done sync.WaitGroup // of the jobs given
	gone sync.WaitGroup // of the threads

	panicked atomic.Pointer[string] // what a job's panic said
}

// newCrew starts n threads; stop ends them.
func newCrew(n int) (*crew, error) {
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return nil, fmt.Errorf("bench: which CPUs are ours: %w", err)
	}
	cpus := list(&mine)
	c, errs := &crew{}, make([]error, n)
	for i := range n {
		jobs := make(chan func(int))
		c.jobs = append(c.jobs, jobs)
		c.gone.Add(1)
		go func() {
			defer c.gone.Done()
			runtime.LockOSThread() // never undone: the thread ends with the goroutine
			var one unix.CPUSet
			one.Set(cpus[i%len(cpus)])
			errs[i] = unix.SchedSetaffinity(0, &one)
			for job := range jobs {
				c.do(job, i)
			}
		}()
	}
	c.each(func(int) {})
	if err := errors.Join(errs...); err != nil {
		c.stop()
		return nil, fmt.Errorf("bench: a CPU for each thread: %w", err)
	}
	return c, nil
}

// each gives every thread the job and waits until all have done it. If one panicked, so does each, on the caller's
// goroutine: there, what was opened can still be closed.
func (c *crew) each(job func(thread int)) {
	c.done.Add(len(c.jobs))
	for _, jobs := range c.jobs {
		jobs <- job
	}
	c.done.Wait()
	if p := c.panicked.Load(); p != nil {
		panic(*p)
	}
}

func (c *crew) do(job func(thread int), thread int) {
	defer c.done.Done()
	defer func() {
		if v := recover(); v != nil {
			what := fmt.Sprintf("%v, on a thread of its own:\n%s", v, debug.Stack())
			c.panicked.Store(&what)
		}
	}()
	job(thread)
}

func (c *crew) stop() {
	for _, jobs := range c.jobs {
		close(jobs)
	}
	c.gone.Wait()
}

// list returns the CPUs of a set in rising order; it is never empty.
func list(set *unix.CPUSet) (cpus []int) {
	for cpu := range 8 * len(set) * 8 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}
