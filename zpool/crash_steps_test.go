//go:build invariants

package zpool

import (
	"encoding/json"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/invariant"
)

var stepCrashesFlag = flag.Int("step-crashes", 1, "processes that TestCrashAtEachStep kills at each step")

// crashOps is how many operations a worker of a child does: so many that the pool is full at the end.
const crashOps = 1200

func init() {
	crashHooks = func(o crashOrder) (report func(io.Writer) error) {
		invariant.Mutant = o.Mutant
		var hits sync.Map // step → how often
		invariant.OnStep(func(name string) {
			counter, ok := hits.Load(name)
			if !ok {
				counter, _ = hits.LoadOrStore(name, new(atomic.Int64))
			}
			if n := counter.(*atomic.Int64).Add(1); name == o.Step && n == o.Hit {
				unix.Kill(os.Getpid(), unix.SIGKILL)
				select {}
			}
		})
		return func(w io.Writer) error {
			all := map[string]int64{}
			hits.Range(func(name, n any) bool { all[name.(string)] = n.(*atomic.Int64).Load(); return true })
			return json.NewEncoder(w).Encode(all)
		}
	}
}

// stepNames reads the names of all steps from the source.
func stepNames(t *testing.T) (names []string) {
	t.Helper()
	call := regexp.MustCompile(`\bstep\("(.*?)"\)`)
	for _, pattern := range []string{"*.go", "../zsmalloc/*.go", "../internal/backing/*.go"} {
		files, err := filepath.Glob(pattern)
		noErr(t, err)
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "mutants_on.go") {
				continue
			}
			text, err := os.ReadFile(f)
			noErr(t, err)
			for _, m := range call.FindAllSubmatch(text, -1) {
				if name := string(m[1]); slices.Contains(names, name) {
					t.Errorf("two steps are called %q", name)
				} else {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// stepCrashes kills processes at steps.
type stepCrashes struct {
	t      *testing.T
	r      *rand.Rand
	hits   map[string]int64 // step → the most often that a process came by which was not killed
	killed int
	ops    int
}

// order makes a child kill itself at a step, at some time that it comes by: rather early, for it may not come often.
func (c *stepCrashes) order(step string) crashOrder {
	often := 1 + c.r.Int64N(max(c.hits[step], 1))
	return crashOrder{Seed: c.r.Uint64(), Ops: crashOps, Step: step, Hit: 1 + c.r.Int64N(often)}
}

// run runs a child, which may end because it does not come by so often.
func (c *stepCrashes) run(s *crashStore, o crashOrder) (killed bool) {
	killed, report := s.run(c.t, o, nil)
	if killed {
		c.killed++
		return true
	}
	hits := map[string]int64{}
	noErr(c.t, json.Unmarshal(report, &hits))
	for step, n := range hits {
		c.hits[step] = max(c.hits[step], n)
	}
	return false
}

// onlyAfter are steps that a process hardly comes by unless the one before it was killed at a certain step.
var onlyAfter = map[string]string{"recover: cluster settled": "leave: cluster pinned"}

// life kills a process at a step of working on a store, or of opening it, after up to two others died anywhere else. soon: the first time
// that it comes by, which is what is left where one process came by a thousand times and most do not.
func (c *stepCrashes) life(step string, soon bool) (killed bool) {
	s := newCrashStore(c.t)
	defer func() { s.f.Close(); c.ops += s.ops }()
	var orders []crashOrder
	before := c.r.IntN(3)
	if strings.HasPrefix(step, "recover: ") {
		before = max(before, 1) // there must be something to recover
	}
	steps := slices.Sorted(maps.Keys(c.hits))
	for range before {
		orders = append(orders, c.order(steps[c.r.IntN(len(steps))]))
		c.run(s, orders[len(orders)-1])
	}
	if first, ok := onlyAfter[step]; ok {
		orders = append(orders, c.order(first))
		c.run(s, orders[len(orders)-1])
	}
	last := c.order(step)
	if soon {
		last.Hit = 1
	}
	orders = append(orders, last)
	killed = c.run(s, orders[len(orders)-1])
	if err := s.verify(c.t, c.r); err != nil {
		c.t.Fatalf("children %+v: %v", orders, err)
	}
	return killed
}

// TestCrashAtEachStep kills processes between any two steps that matter: of storing, loading, freeing, compacting, and of
// recovering from such a kill. What must hold is as in TestCrash.
func TestCrashAtEachStep(t *testing.T) {
	c := &stepCrashes{t: t, r: newRand(t), hits: map[string]int64{}}
	dry := newCrashStore(t)
	c.run(dry, crashOrder{Seed: c.r.Uint64(), Ops: crashOps, Step: "swap: published", Hit: crashOps})
	c.run(dry, crashOrder{Seed: c.r.Uint64(), Ops: crashOps})
	noErr(t, dry.verify(t, c.r))
	names := stepNames(t)
	for name := range c.hits {
		if !slices.Contains(names, name) {
			t.Errorf("step %q is not in the source", name)
		}
	}
	for _, step := range names {
		reached, tries := 0, 0
		for ; reached < *stepCrashesFlag && (tries < 5**stepCrashesFlag || reached == 0 && tries < 200); tries++ {
			if c.life(step, tries >= 3**stepCrashesFlag) {
				reached++
			}
		}
		if reached < *stepCrashesFlag {
			t.Logf("step %q: %d processes in %d came by", step, reached, tries)
		}
		if reached == 0 {
			t.Errorf("step %q is never reached", step)
		}
	}
	t.Logf("%d processes killed at %d steps, %d operations acknowledged", c.killed, len(names), c.ops)
}

// A process that is killed in the middle of a wrong migration loses a page, and that is seen.
func TestCrashFindsMutants(t *testing.T) {
	c := &stepCrashes{t: t, r: newRand(t), hits: map[string]int64{}}
	for _, m := range []struct{ mutant, step string }{
		{"publish before copy", "migrate: published"},
		{"free before publish", "mutant: freed early"},
	} {
		var err error
		for tries := 0; err == nil && tries < 10; tries++ { // the object that it moves may be one that no slot wants any more
			s, o := newCrashStore(t), c.order(m.step)
			o.Mutant = m.mutant
			if c.run(s, o) {
				err = s.verify(t, c.r)
			}
			s.f.Close()
		}
		if err == nil {
			t.Errorf("%s: not caught", m.mutant)
		}
		t.Logf("%s is caught: %v", m.mutant, err)
	}
}
