package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	still     = time.Minute // without a page: then it is stuck
	killLimit = time.Minute
	strayMax  = 10
)

// Shape is what a load is like.
type Shape struct {
	Limit, Bytes int64  // of the cgroup, and that the workload touches
	Pages        string // what they hold: pagegen.ParseMix
}

// Load runs rounds of filling, touching and verifying, until it is to finish. Its figures are good after Finish.
type Load struct {
	shape  Shape
	self   []string
	group  *cgroup.Group
	enough atomic.Bool // the round that runs is the last
	pid    atomic.Int64
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
	return Shape{Limit, Bytes, workload.Default().Pages}.Start(t, state, self...)
}

// Start is Start with another load.
func (sh Shape) Start(t testing.TB, state string, self ...string) *Load {
	t.Helper()
	own, err := swapdev.NewRun(state)
	noErr(t, err)
	l := &Load{shape: sh, self: self, done: make(chan struct{})}
	l.group, err = cgroup.CreateNoted("test-"+own.ID(), sh.Limit, own.SetCgroup)
	noErr(t, err)
	t.Cleanup(func() {
		l.Resume()
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

// Freeze stops the workload where it is and lets it have as much memory as it likes, so that its pages may come back: what
// is swapped out stays so until somebody turns swap off.
func (l *Load) Freeze(t testing.TB) {
	t.Helper()
	noErr(t, syscall.Kill(int(l.pid.Load()), syscall.SIGSTOP))
	noErr(t, l.group.SetLimit(1<<30))
}

// Resident returns how much memory the workload has, in bytes.
func (l *Load) Resident(t testing.TB) int64 {
	t.Helper()
	s, err := l.group.Stats()
	noErr(t, err)
	return int64(s.Current)
}

// Squeeze takes memory from a workload that is frozen until it has no more than so many bytes, or, which is no error, nobody takes
// more pages. It is not ended for that.
func (l *Load) Squeeze(t testing.TB, bytes int64) {
	t.Helper()
	if l.group.Version() == 1 {
		_ = l.group.SetLimit(bytes) // EBUSY: what is left cannot be swapped out
		noErr(t, l.group.SetLimit(1<<30))
		return
	}
	if more := l.Resident(t) - bytes; more > 0 {
		_ = os.WriteFile(filepath.Join(l.group.Path(), "memory.reclaim"), strconv.AppendInt(nil, more, 10), 0) // EAGAIN likewise
	}
}

// Resume lets it go on.
func (l *Load) Resume() { _ = syscall.Kill(int(l.pid.Load()), syscall.SIGCONT) }

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
		if err != nil || !state.Success() || r.Failures > 0 || r.Verified != l.shape.Bytes/4096 {
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
	c.Bytes, c.Touches, c.Duration, c.Threads, c.Seed, c.Pages = l.shape.Bytes, 0, touch, 2, seed, l.shape.Pages
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
	l.pid.Store(int64(cmd.Process.Pid))
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
