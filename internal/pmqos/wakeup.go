package pmqos

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	wakeUps   = 200                   // that WakeUp measures
	wakeAfter = 20 * time.Microsecond // that the CPU has been idle before each: about as long as a fault in a row of faults
)

// WakeUp measures how long it takes to wake a thread on another CPU that has gone idle: the median of some tries, taking
// some milliseconds. This is what a Hold can save, and on some machines, virtual ones above all, there is next to nothing to
// save: then polling only takes time from others. It is an error if this process may run on one CPU only.
func WakeUp() (time.Duration, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, fmt.Errorf("pmqos: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < 2 && cpu < 8*len(set)*8; cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) < 2 {
		return 0, errors.New("pmqos: there is one CPU only, and nobody to wake on another")
	}
	ping, err1 := unix.Eventfd(0, unix.EFD_CLOEXEC)
	pong, err2 := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("pmqos: eventfd: %w", err)
	}
	defer unix.Close(ping)
	defer unix.Close(pong)
	result, done := make(chan []time.Duration, 1), make(chan error, 2)
	go func() { // the one that sleeps, and answers
		done <- onCPU(cpus[1], func() error {
			for range wakeUps {
				if err := errors.Join(take(ping), give(pong)); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	go func() {
		done <- onCPU(cpus[0], func() error {
			var all []time.Duration
			for range wakeUps {
				for idle := time.Now(); time.Since(idle) < wakeAfter; { // awake ourselves: one wake-up is measured, not two
				}
				began := time.Now()
				if err := errors.Join(give(ping), take(pong)); err != nil {
					return err
				}
				all = append(all, time.Since(began)/2) // there and back
			}
			result <- all
			return nil
		})
	}()
	if err := errors.Join(<-done, <-done); err != nil {
		return 0, fmt.Errorf("pmqos: wake-up: %w", err)
	}
	all := <-result
	slices.Sort(all)
	return all[len(all)/2], nil
}

// onCPU runs f on a thread that stays on one CPU, and ends with it: the goroutine is never unlocked.
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return f()
}

func give(fd int) error {
	_, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

func take(fd int) error {
	var b [8]byte
	for {
		if _, err := unix.Read(fd, b[:]); err != unix.EINTR {
			return err
		}
	}
}
