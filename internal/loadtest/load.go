package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

// Sizes and times of a load.
const (
	Limit = 32 << 20  // of the cgroup, bytes
	Bytes = 3 * Limit // that the workload touches

	touch     = 2 * time.Second
	still     = 20 * time.Second // without a page: then it is stuck
	killLimit = time.Minute
	strayMax  = 10
)

// Load runs rounds of filling, touching and verifying, until it is to finish. Its figures are good after Finish.
type Load struct {
	self   []string
	group  *cgroup.Group
	enough atomic.Bool // the round that runs is the last
	done   chan struct{}
	err    error // after done

	Rounds, StrayKills int
	Verified           int64
	Slowest            time.Duration // touch
}

// Start starts the rounds: self is a program that runs workload.Serve. The record goes into a state folder, for the next test
// if this one dies. When the test ends the load is ended, whatever happened; there must be somebody who serves then.
func Start(t testing.TB, state string, self ...string) *Load {
	t.Helper()
	own, err := swapdev.NewRun(state)
	noErr(t, err)
	l := &Load{self: self, done: make(chan struct{})}
	l.group, err = cgroup.CreateNoted("test-"+own.ID(), Limit, own.SetCgroup)
	noErr(t, err)
	t.Cleanup(func() {
		l.enough.Store(true)
		err := l.group.Kill(killLimit)
		if err == nil {
			<-l.done
			if t.Failed() {
				t.Logf("the workload: %v", l.err)
			}
			err = errors.Join(l.group.Remove(), own.Close())
		}
		if err != nil {
			t.Error(err)
		}
	})
	go func() {
		defer close(l.done)
		l.err = l.run()
	}()
	return l
}

// Finish lets the round that runs be the last, and returns the first problem.
func (l *Load) Finish() error {
	l.enough.Store(true)
	<-l.done
	return l.err
}

// GoesOn fails the test if there was a problem already.
func (l *Load) GoesOn(t testing.TB) {
	t.Helper()
	select {
	case <-l.done:
		t.Fatalf("the workload: %v", l.err)
	default:
	}
}

// Wait waits for the load to end by itself, as it does when pages are lost, and returns its first problem.
func (l *Load) Wait(limit time.Duration) error {
	select {
	case <-l.done:
		return l.err
	case <-time.After(limit):
		return errors.New("the workload goes on")
	}
}

func (l *Load) run() error {
	for stray := 0; ; {
		before, err := l.group.Stats()
		if err != nil {
			return err
		}
		r, state, err := l.round(uint64(l.Rounds + 1))
		after, _ := l.group.Stats()
		// The kernel's OOM killer strikes now and then although there is swap to be had (ARCHITECTURE.md).
		if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() && w.Signal() == syscall.SIGKILL &&
			errors.Is(err, workload.ErrNoResult) && after.OOMKills > before.OOMKills && stray < strayMax {
			stray++
			l.StrayKills++
			continue
		}
		if err != nil || !state.Success() || r.Failures > 0 || r.Verified != Bytes/4096 {
			return fmt.Errorf("round %d of the workload: %w, %v, %d wrong, %d verified", l.Rounds+1, err, state, r.Failures, r.Verified)
		}
		stray = 0
		l.Rounds++
		l.Verified += r.Verified + r.Touches
		l.Slowest = max(l.Slowest, r.Touch.Max)
		if l.enough.Load() {
			return nil
		}
	}
}

// round runs the workload once, in a process of its own, to its end or until it does not come along.
func (l *Load) round(seed uint64) (r workload.Result, state *os.ProcessState, err error) {
	c := workload.Default()
	c.Bytes, c.Touches, c.Duration, c.Threads, c.Seed = Bytes, 0, touch, 2, seed
	config, err := json.Marshal(&c)
	if err != nil {
		return r, new(os.ProcessState), err
	}
	in, give, err := os.Pipe()
	if err != nil {
		return r, new(os.ProcessState), err
	}
	defer in.Close()
	if _, err := give.Write(config); err != nil {
		return r, new(os.ProcessState), err
	}
	give.Close()
	take, out, err := os.Pipe()
	if err != nil {
		return r, new(os.ProcessState), err
	}
	defer take.Close()
	// The shell joins the group, and then becomes the workload: nothing of it is charged elsewhere.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `echo 0 > "$0" && exec "$@"`, l.group.ProcsFile()}, l.self...)...)
	cmd.Stdin, cmd.Stdout = in, out
	err = cmd.Start()
	out.Close()
	if err != nil {
		return r, new(os.ProcessState), err
	}
	return l.follow(cmd, take)
}

func (l *Load) follow(cmd *exec.Cmd, take *os.File) (r workload.Result, state *os.ProcessState, err error) {
	moved, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		var before workload.Progress
		var e error
		r, e = workload.Follow(take, func(now workload.Progress) {
			if now.Phase != before.Phase || now.Done != before.Done {
				before = now
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		})
		_ = cmd.Wait() // its state tells
		ended <- e
	}()
	for {
		select {
		case <-moved:
		case err := <-ended:
			return r, cmd.ProcessState, err
		case <-time.After(still):
			return workload.Result{}, new(os.ProcessState), fmt.Errorf("no page in %v: a request was lost, or nobody serves", still)
		}
	}
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
