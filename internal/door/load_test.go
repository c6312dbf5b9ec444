package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/workload"
)

const (
	loadLimit = 32 << 20      // of the cgroup, bytes
	loadBytes = 3 * loadLimit // that the workload touches
	loadTouch = 2 * time.Second
	loadStill = time.Minute // without a page: then it is stuck
)

// load is a verified workload in a cgroup: rounds of filling, touching and verifying, each page compared each time.
type load struct {
	group  *cgroup.Group
	enough atomic.Bool // the round that runs is the last
	done   chan struct{}
	err    error // after done

	rounds, strayKills int
	verified           int64
	slowest            time.Duration // touch
}

// startLoad starts the rounds, on the keeper's device. When the test ends they are ended, whatever happened.
func startLoad(k *keeper) *load {
	t := k.t
	t.Helper()
	own, err := swapdev.NewRun(k.state) // if this process dies, the next one cleans
	noErr(t, err)
	l := &load{done: make(chan struct{})}
	l.group, err = cgroup.CreateNoted("test-"+own.ID(), loadLimit, own.SetCgroup)
	noErr(t, err)
	t.Cleanup(func() {
		l.enough.Store(true)
		err := k.serve() // who waits for a page may not die before it comes
		if err = errors.Join(err, l.group.Kill(deathLimit)); err == nil {
			<-l.done
			if t.Failed() {
				t.Logf("the workload: %v", l.err)
			}
			err = errors.Join(l.group.Remove(), own.Close())
		}
		if err != nil {
			t.Error(err)
			_ = unix.Flock(own.Lock(), unix.LOCK_UN) // the keeper cleans
		}
	})
	go func() {
		defer close(l.done)
		l.err = l.run()
	}()
	return l
}

// finish lets the round that runs be the last, and returns the first problem.
func (l *load) finish() error {
	l.enough.Store(true)
	<-l.done
	return l.err
}

// goesOn fails the test if there was a problem already.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	select {
	case <-l.done:
		t.Fatal(l.err)
	default:
	}
}

// outcome is how a round ended.
type outcome struct {
	result workload.Result
	status launch.Status
	err    error
}

func (l *load) run() error {
	for stray := 0; ; {
		before, err := l.group.Stats()
		if err != nil {
			return err
		}
		o := l.round(uint64(l.rounds + 1))
		after, _ := l.group.Stats()
		// The kernel's OOM killer strikes now and then although there is swap to be had (ARCHITECTURE.md).
		// On a busy machine it does so several times in a row, while servers are killed faster than the next ones start.
		if errors.Is(o.err, workload.ErrNoResult) && o.status.Signal == unix.SIGKILL && after.OOMKills > before.OOMKills && stray < 10 {
			stray++
			l.strayKills++
			continue
		}
		r := &o.result
		if o.err != nil || o.status.Code != 0 || r.Failures > 0 || r.Verified != loadBytes/4096 {
			return fmt.Errorf("round %d of the workload: %w, exit code %d, %d wrong, %d verified", l.rounds+1, o.err, o.status.Code, r.Failures, r.Verified)
		}
		stray = 0
		l.rounds++
		l.verified += r.Verified + r.Touches
		l.slowest = max(l.slowest, r.Touch.Max)
		if l.enough.Load() {
			return nil
		}
	}
}

// round runs the workload once.
func (l *load) round(seed uint64) outcome {
	c := workload.Default()
	c.Bytes, c.Touches, c.Duration, c.Threads, c.Seed = loadBytes, 0, loadTouch, 2, seed
	return runWorkload(c, launch.Spec{Join: l.group.ProcsFile()}, loadStill, func(workload.Progress) {})
}

// runWorkload runs a workload in a process of its own, to its end or until it does not come along.
func runWorkload(c workload.Config, spec launch.Spec, still time.Duration, report func(workload.Progress)) outcome {
	config, err := json.Marshal(&c)
	if err != nil {
		return outcome{err: err}
	}
	in, give, err := os.Pipe()
	if err != nil {
		return outcome{err: err}
	}
	defer in.Close()
	take, out, err := os.Pipe()
	if err != nil {
		return outcome{err: errors.Join(err, give.Close())}
	}
	_, err = give.Write(config)
	err = errors.Join(err, give.Close())
	var p *launch.Process
	if err == nil {
		spec.Args, spec.Std = []string{"/proc/self/exe", workloadPart}, [3]*os.File{in, out, nil}
		p, err = launch.Start(spec)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return outcome{err: errors.Join(err, take.Close())}
	}
	return follow(p, take, still, report)
}

// follow waits until the workload ends, as long as it comes along.
func follow(p *launch.Process, take *os.File, still time.Duration, report func(workload.Progress)) outcome {
	moved, ended := make(chan struct{}, 1), make(chan outcome, 1)
	go func() {
		defer take.Close()
		var o outcome
		var before workload.Progress
		o.result, o.err = workload.Follow(take, func(now workload.Progress) {
			if now.Phase != before.Phase || now.Done != before.Done {
				before = now
				report(now)
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		})
		status, err := p.Wait()
		o.status, o.err = status, errors.Join(o.err, err)
		ended <- o
	}()
	for {
		select {
		case <-moved:
		case o := <-ended:
			return o
		case <-time.After(still):
			return outcome{err: fmt.Errorf("no page in %v: a request was lost, or nobody serves", still)}
		}
	}
}
