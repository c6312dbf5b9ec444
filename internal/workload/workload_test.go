package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// small is a run of a fraction of a second, also under the race detector.
func small(threads int, touch string) Config {
	c := Default()
	c.Bytes, c.Touches, c.Threads, c.Touch = 301*pageSize, 2001, threads, touch
	return c
}

func each(t *testing.T, test func(t *testing.T, c Config)) {
	for _, touch := range []string{Page, Byte} {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("touch=%s/threads=%d", touch, threads), func(t *testing.T) { test(t, small(threads, touch)) })
		}
	}
}

func checkWhole(t *testing.T, c Config, res Result) {
	t.Helper()
	if res.Pages != 301 || res.Verified != 301 || res.Touches != c.Touches || res.Touch.Count != uint64(c.Touches) || res.Failures != 0 || res.First != nil {
		t.Errorf("result %+v", res)
	}
	if share := float64(res.Writes) / float64(res.Touches); share < 0.25 || share > 0.35 {
		t.Errorf("%d of %d touches wrote, want 30 %%", res.Writes, res.Touches)
	}
	if res.TouchesPerSecond <= 0 || res.FillSeconds <= 0 || res.VerifySeconds <= 0 || res.Touch.P50 <= 0 || res.Touch.Max < res.Touch.P99 {
		t.Errorf("not measured: %+v", res)
	}
	if !strings.Contains(res.Composition, "java heap 15 %") {
		t.Errorf("composition %q", res.Composition)
	}
}

func TestRun(t *testing.T) {
	each(t, func(t *testing.T, c Config) {
		var phases []string
		c.Progress = func(p Progress) {
			phases = append(phases, p.Phase)
			if p.Done != p.Total || p.Failures != 0 {
				t.Errorf("at the end of a phase: %+v", p)
			}
		}
		res, err := Run(t.Context(), c)
		must(t, err)
		checkWhole(t, c, res)
		if got := strings.Join(phases, " "); got != "fill touch verify" {
			t.Errorf("phases %s", got)
		}
	})
}

// The same seed touches the same pages in the same order.
func TestRunIsReproducible(t *testing.T) {
	writes := func(seed uint64) int64 {
		c := small(2, Byte)
		c.Seed = seed
		res, err := Run(t.Context(), c)
		must(t, err)
		return res.Writes
	}
	if a, b := writes(5), writes(5); a != b {
		t.Errorf("%d writes, then %d", a, b)
	}
}

func TestDuration(t *testing.T) {
	c := small(1, Byte)
	c.Touches, c.Duration = 0, 50*time.Millisecond
	res, err := Run(t.Context(), c)
	must(t, err)
	if res.TouchSeconds < 0.05 || res.TouchSeconds > 60 || res.Touches == 0 || res.Verified != 301 {
		t.Errorf("%+v", res)
	}
}

func TestCancel(t *testing.T) {
	c := small(1, Page)
	c.Touches, c.Duration = 0, time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	c.Progress = func(p Progress) {
		if p.Phase == "touch" && p.Done > 0 {
			cancel(enough)
		}
	}
	res, err := Run(ctx, c)
	if !errors.Is(err, enough) || res.Verified != 0 || res.Touches == 0 || res.Failures != 0 {
		t.Errorf("%v, %+v", err, res)
	}
}

// newTestWorker returns a worker whose ten pages are filled.
func newTestWorker(t *testing.T, touch string) *worker {
	r := &run{config: small(1, touch)}
	r.source.Mix = pagegen.Only(pagegen.Java)
	mem, err := newRegion(10)
	must(t, err)
	t.Cleanup(func() { must(t, mem.close()) })
	w := newWorker(r, 0, mem, 0, 10)
	for i := range 10 {
		w.fillOne(i)
	}
	return w
}

func TestTouchesMakeNoGarbage(t *testing.T) {
	for _, touch := range []string{Page, Byte} {
		w := newTestWorker(t, touch)
		if n := testing.AllocsPerRun(1000, func() { w.touchOne(w.pattern.next()) }); n != 0 || w.failures.Load() != 0 {
			t.Errorf("touch %s: %v allocations, %d failures", touch, n, w.failures.Load())
		}
	}
}

// After 65536 changes of a page its version comes round.
func TestVersionsComeRound(t *testing.T) {
	for _, touch := range []string{Page, Byte} {
		w := newTestWorker(t, touch)
		w.run.config.Write = 100
		w.versions[3] = 1<<16 - 2
		page, err := w.mem.access(3)
		must(t, err)
		w.make(page, 3)
		for range 4 {
			w.touchOne(3)
			w.verifyOne(3)
		}
		if w.failures.Load() != 0 || w.versions[3] > 3 {
			t.Errorf("touch %s: version %d, %v", touch, w.versions[3], w.failure)
		}
	}
}

// A huge page would hide 511 faults of 512.
func TestRegionHasNoHugePages(t *testing.T) {
	r, err := newRegion(1024)
	must(t, err)
	defer r.close()
	smaps, err := os.ReadFile("/proc/self/smaps")
	must(t, err)
	_, rest, ok := strings.Cut(string(smaps), fmt.Sprintf("\n%x-", &r.mem[0]))
	_, rest, _ = strings.Cut(rest, "VmFlags:")
	flags, _, _ := strings.Cut(rest, "\n")
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err == nil && (!ok || !strings.Contains(flags, " nh")) {
		t.Errorf("flags of the mapping: %q", flags)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	c := Config{Bytes: -1, Threads: 0, Write: 101, Mode: "zipfian", Touch: "word", Pages: "pdf"}
	err := c.Validate()
	for _, want := range []string{"0 threads", "-1 bytes", "neither a number", "101 percent", `"zipfian"`, `"word"`, `"pdf"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %s", err, want)
		}
	}
	for _, good := range []Config{Default(), RandomTouches(time.Second)} {
		must(t, good.Validate())
	}
	if _, err := RunPool(t.Context(), Default(), nil); err == nil {
		t.Error("a pool without resident memory is taken")
	}
}
