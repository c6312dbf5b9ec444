package door

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/loadtest"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

// whole is set in a test of a whole machine.
var whole *wholeMachine

// unprotected is what programs are that are not ours: they may swap in their own reclaim, and be killed by the OOM killer.
var unprotected guard.Before

// wholeMain reads it before there are flags.
var _ = flag.String("whole", "", `what TestWholeMachine does, as JSON: see wholeMachine. In a virtual machine only; internal/guest does it`)

// wholeMachine is a test in which all programs of a machine swap to us, and there is too little memory for them.
type wholeMachine struct {
	MiB     int64    // that the workload touches
	Touches int64    // that it does, when all is written once
	Rounds  int      // of it
	Pages   string   // workload.Config.Pages
	Swap    int64    // MiB of the device
	Limit   int64    // MiB of the pool
	Kills   int      // of the server, a few seconds apart
	Dies    bool     // the workload is too large: it is to be killed for it, and nothing else is to suffer
	Without []string // protections that are left out, to see whether they matter
}

// wholeEnv hands the test's settings to its servers.
const wholeEnv = "ZSWAPD_TEST_WHOLE"

// wholeMain reads the settings, from the flag or of a test whose server we are. The keeper must not wait for its own device
// any more than the server.
func wholeMain() {
	text := os.Getenv(wholeEnv)
	for i, arg := range os.Args {
		if value, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "whole="); ok && i > 0 {
			text = value
		}
	}
	if text == "" {
		return
	}
	whole = new(wholeMachine)
	if err := json.Unmarshal([]byte(text), whole); err != nil {
		panic(err)
	}
	os.Setenv(wholeEnv, text)
}

func (w *wholeMachine) without(name string) bool { return w != nil && slices.Contains(w.Without, name) }

func (w *wholeMachine) pool() zpool.Options {
	o := zpool.Options{Slots: uint64(w.Swap << 20 / zpool.PageSize), MaxBytes: w.Limit << 20, Compactor: &zsmalloc.CompactorOptions{}}
	if !w.without("reserve") {
		o.ReserveBytes = 8 << 20
		o.ReserveThread = func() {
			if w.without("provider") {
				return
			}
			if err := guard.Provider(); err != nil {
				fmt.Println("FAIL", err)
			}
		}
	}
	return o
}

func (w *wholeMachine) prepare(o *Options) {
	if w == nil {
		return
	}
	o.WholeMachine = true
	o.withoutWarm, o.withoutQueue = w.without("warm"), w.without("queue")
	o.withoutRelief, o.withoutKiller = w.without("relief"), w.without("killer")
}

// TestWholeMachine fills the machine's memory, and as much swap as it has to, with a verified workload, and kills our
// server in the middle of it. All goes on: nothing stalls, no page is wrong.
func TestWholeMachine(t *testing.T) {
	if whole == nil {
		t.Skip("takes all memory of the machine: run it in a guest, as internal/guest does")
	}
	k, r := newKeeper(t), newRand(t)
	noErr(t, guard.Warm(1<<20))
	next := startStandby(t, k)
	defer func() {
		k.server = next
		noErr(t, errors.Join(k.order("leave"), k.ended()))
	}()
	log := loadtest.WatchKernelLog(t, deviceIn(k.record))
	others := watchOthers(t)
	ended := make(chan outcome, 1)
	for round := range whole.Rounds {
		c := workload.Default()
		c.Bytes, c.Touches, c.Pages, c.Seed = whole.MiB<<20, whole.Touches, whole.Pages, uint64(round+1)
		go func() { ended <- runWorkload(c, launch.Spec{Undo: unprotected.String()}, wholeStill, say) }()
		kills := 0
		for then := time.After(pause(r.IntN)); ; {
			select {
			case o := <-ended:
				w := &o.result
				fmt.Printf("round %d: %d pages compared, %d wrong, slowest touch %v, status %+v, %v\n", round+1, w.Verified, w.Failures, w.Touch.Max, o.status.Code, o.err)
				if died := o.status.Signal != 0; w.Failures > 0 || died != whole.Dies || !died && (o.err != nil || o.status.Code != 0 || w.Verified != whole.MiB<<20/4096) {
					t.Errorf("the workload: %+v", o)
				}
			case <-then:
				if then = nil; kills < whole.Kills {
					s, err := k.kill()
					noErr(t, err)
					at := monotonic()
					k.server = next
					noErr(t, k.order(goOn))
					look := time.AfterFunc(slowSuccessor, k.server.look)
					noErr(t, k.reach(serving))
					look.Stop()
					noErr(t, k.reach(first))
					of := k.server.at
					fmt.Printf("killed at %q, %s; the next one has begun after %v, has the store after %v, answers after %v, has the record after %v, a request after %v, with %d page faults\n",
						s.last.Stage, cmp.Or(s.last.Kinds, "no errors"), of[opening]-at, of[recovered]-at, k.server.last.Answers-at, of[serving]-at, of[first]-at, k.server.last.Faults)
					kills++
					next = startStandby(t, k)
					then = time.After(pause(r.IntN))
				}
				continue
			}
			break
		}
	}
	if !whole.Dies {
		for _, line := range log.Complaints() {
			t.Errorf("the kernel says: %s", line)
		}
	}
	others(whole.Rounds)
	noErr(t, k.reach(first))
	fmt.Printf("the server: %+v\n", k.server.last)
	_, err := k.close()
	noErr(t, err)
}

// slowSuccessor is how long one may take until it is looked at.
const slowSuccessor = 5 * time.Second

// look prints what the threads of a server wait for in the kernel, and how short the machine is of memory.
func (s *server) look() {
	stacks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", s.process.Pid))
	for _, path := range stacks {
		if text, err := os.ReadFile(path); err == nil && !bytes.Contains(text, []byte("futex_wait")) {
			fmt.Printf("%s: %s\n", path, bytes.ReplaceAll(text, []byte("\n"), []byte("; ")))
		}
	}
	text, _ := os.ReadFile("/proc/meminfo")
	fmt.Printf("%s\n", text[:min(len(text), 600)])
}

// wholeStill is how long the workload may not come along, on a machine that is emulated and, with its pool full, crawls.
const wholeStill = 2 * time.Minute

// watchOthers starts a small program again and again: whoever else is on the machine must get on. The function that it returns ends
// that, prints the longest time that one took, and fails the test if the OOM killer has killed more than the workload, and that
// only if it was too large.
func watchOthers(t *testing.T) (end func(rounds int)) {
	t.Helper()
	before := oomKills(t)
	var longest time.Duration
	runs := 0
	stop := again(func() time.Duration {
		begin := time.Now()
		p, err := launch.Start(launch.Spec{Args: []string{"true"}, Undo: unprotected.String()})
		if err == nil {
			_, err = p.Wait()
		}
		if err != nil {
			t.Errorf("another program: %v", err)
		}
		longest = max(longest, time.Since(begin))
		runs++
		return time.Second
	})
	return func(rounds int) {
		t.Helper()
		stop()
		kills := oomKills(t) - before
		fmt.Printf("another program ran %d times, in %v at most; the OOM killer has killed %d\n", runs, longest, kills)
		if want := map[bool]int{true: rounds}[whole.Dies]; kills != want {
			t.Errorf("the OOM killer has killed %d processes, want %d", kills, want)
		}
	}
}

func oomKills(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/vmstat")
	noErr(t, err)
	_, rest, _ := strings.Cut(string(text), "\noom_kill ")
	_, err = fmt.Sscan(rest, &n)
	noErr(t, err)
	return n
}

// standbyEnv makes a server a standby; the rest is what it has when it begins, as those of internal/serve.
const (
	standbyEnv     = "ZSWAPD_TEST_STANDBY"
	standbyHeap    = 12 << 20
	standbyBallast = 4 << 20
)

// startStandby starts the next server while there is one: when there is none, and no free page, it could not start.
func startStandby(t *testing.T, k *keeper) *server {
	t.Helper()
	now := k.server
	noErr(t, os.Setenv(standbyEnv, "1"))
	noErr(t, k.start())
	noErr(t, os.Unsetenv(standbyEnv))
	noErr(t, k.reach(standby))
	next := k.server
	k.server = now
	return next
}

// ended waits for the end of a server.
func (k *keeper) ended() error {
	_, _, err := k.end()
	return err
}

// pause is the time between two kills: long enough for an emulated machine to get somewhere.
func pause(n func(int) int) time.Duration { return time.Duration(3000+n(5000)) * time.Millisecond }

func say(p workload.Progress) { fmt.Printf("%s %d of %d\n", p.Phase, p.Done, p.Total) }
