package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// self starts this binary as a child that serves.
var self = []string{"/proc/self/exe", "__child"}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == self[1] {
		if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // children under the race detector would wait a second before they end
	os.Exit(m.Run())
}

func smallFork() Config {
	c := small(1, Byte)
	c.Mode, c.Child = Fork, self
	return c
}

// Children fill memory, touch it, verify it and are gone; what they measured is added up.
func TestForks(t *testing.T) {
	c := smallFork() // 301 pages: 150 each, and as many touches
	var told []int64
	c.Progress = func(p Progress) { told = append(told, p.Done) }
	res, err := Run(t.Context(), c)
	must(t, err)
	const children = 2001/150 + 1
	if res.Children != children || res.Touches != children*150 || res.Verified != children*150 || res.Failures != 0 {
		t.Errorf("%+v", res)
	}
	if res.Touch.Count != uint64(res.Touches) || res.Touch.P50 <= 0 || res.Touch.Max < res.Touch.P99 || res.TouchesPerSecond <= 0 || res.FillSeconds <= 0 {
		t.Errorf("not measured: %+v", res)
	}
	if len(told) != children || told[len(told)-1] != res.Touches {
		t.Errorf("progress %v", told)
	}
	noChildren(t)
}

func TestForksEndInTime(t *testing.T) {
	c := smallFork()
	c.Touches, c.Duration = 0, 300*time.Millisecond
	res, err := Run(t.Context(), c)
	must(t, err)
	if res.Children < 2 || res.TouchSeconds < 0.3 || res.Verified != res.Children*150 {
		t.Errorf("%+v", res)
	}
}

func TestForksAreCalledOff(t *testing.T) {
	c := smallFork()
	c.Touches = maxTouches / 2
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	c.Progress = func(Progress) { cancel(reason) } // one has come to its end, others are at work
	if _, err := Run(ctx, c); !errors.Is(err, reason) {
		t.Error(err)
	}
	noChildren(t)
}

// Children are told to end.
func TestForksAreEnded(t *testing.T) {
	dir := t.TempDir()
	c := smallFork()
	c.Child = []string{"sh", "-c", "trap 'touch " + dir + "/told-$$; kill $!; exit' TERM; sleep 1000 & touch " + dir + "/ready-$$; wait"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if ready, _ := filepath.Glob(dir + "/ready-*"); len(ready) == forks {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if told, _ := filepath.Glob(dir + "/told-*"); len(told) != forks {
		t.Errorf("told: %v", told)
	}
	noChildren(t)
}

// A child's wrong page, its error and its death are those of the run; after the latter two no child is started.
func TestForksFail(t *testing.T) {
	shell := func(script string) (Result, error) {
		c := smallFork()
		c.Child = []string{"sh", "-c", "cat >/dev/null; " + script}
		return Run(t.Context(), c)
	}
	res, err := shell(`echo '{"result":{"touches":150,"failures":3,"first_failure":{"page":7,"reason":"gone"}}}'; exit 1`)
	var wrong *Failure
	if !errors.As(err, &wrong) || wrong.Page != 7 || res.Failures != 3*res.Children || res.Children != 14 || res.First == nil {
		t.Errorf("a wrong page: %v, %+v", err, res)
	}
	for script, want := range map[string]string{
		`kill -9 $$`: ErrNoResult.Error(),
		`echo '{"result":{},"error":"no memory"}'; exit 1`: "no memory",
		`echo '{"result":{}}'; exit 3`:                     "exit status 3",
		`echo what`:                                        "what the child wrote",
	} {
		if res, err := shell(script); err == nil || !strings.Contains(err.Error(), want) || res.Children > forks {
			t.Errorf("%s: %v, %d children", script, err, res.Children)
		}
	}
	c := smallFork()
	c.Child = []string{"/no/such/program"}
	if _, err := Run(t.Context(), c); err == nil {
		t.Error("a child that cannot be started")
	}
	if _, err := RunPool(t.Context(), Config{Mode: Fork, Resident: 1}, nil); err == nil {
		t.Error("children with a pool")
	}
}

// noChildren fails the test if a child of ours is there.
func noChildren(t *testing.T) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	must(t, err)
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil && len(text) > 0 {
			t.Errorf("children are left: %s", text)
		}
	}
}
