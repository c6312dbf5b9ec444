package estimate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/capturetest"
	"github.com/zswapd/zswapd/zpool"
)

// The ratios are those that a pool has for the pages of the process.
func TestRatiosAreThePools(t *testing.T) {
	capturetest.NeedRoot(t)
	const pages = 2000
	const tolerance = 5e-3 // the kernel may take a page out of the process between two looks at it
	child := capturetest.Start(t, "typical:2000")
	child.Stop()
	r, err := Run(t.Context(), []int{child.PID()}, Options{Target: "x", Most: 1 << 20, Seed: 1})
	noErr(t, err)
	if len(r.Codecs) != len(codecs)+1 {
		t.Fatalf("%d codecs", len(r.Codecs))
	}
	runs := captured(t, child.PID())
	for _, c := range r.Codecs {
		ratio, effective := direct(t, c.Codec, int(c.UnitBytes), runs)
		if off := math.Abs(c.Ratio/ratio - 1); off > tolerance {
			t.Errorf("%s: ratio %.3f, that of the pages is %.3f", c.name(), c.Ratio, ratio)
		}
		if off := math.Abs(c.EffectiveRatio/effective - 1); c.UnitBytes == pageSize && off > tolerance {
			t.Errorf("%s: effective ratio %.3f, that of the pages is %.3f", c.name(), c.EffectiveRatio, effective)
		}
		if c.Margin != 0 || c.Store.P50 <= 0 || c.Load.P50 <= 0 || c.Store.P50 > c.Store.P99 {
			t.Errorf("%+v", c)
		}
	}
	if n := r.Population.EligibleBytes / pageSize; n < pages || r.Sample.Pages != n {
		t.Errorf("%+v, %+v", r.Population, r.Sample)
	}
	if r.Sample.SameFilledPages < pages*4/100 || r.Codecs[0].IncompressiblePages < pages*4/100 {
		t.Errorf("%+v, %+v", r.Sample, r.Codecs[0])
	}
	for _, s := range r.Savings {
		if s.FreedBytes+s.PoolBytes != s.SwappedBytes || math.Abs(float64(s.SwappedBytes)/float64(s.PoolBytes)/r.chosen().EffectiveRatio-1) > 0.01 ||
			math.Abs(float64(s.SwappedBytes)*100/s.IdlePercent-float64(r.Population.EligibleBytes)) > 100 {
			t.Errorf("%+v", s)
		}
	}
	if !r.Choice.Worth || r.Choice.Codec == "" || len(r.Savings) != 3 {
		t.Errorf("%+v", r.Choice)
	}
}

// captured returns all eligible pages of a process that is stopped, run by run.
func captured(t *testing.T, pid int) (runs [][]byte) {
	t.Helper()
	pop, err := capture.Scan(t.Context(), []int{pid}, capture.Options{})
	noErr(t, err)
	defer pop.Close()
	noErr(t, pop.Sample(t.Context(), math.MaxInt64, 1, func(run []byte) error {
		runs = append(runs, bytes.Clone(run))
		return nil
	}))
	return runs
}

func isSameFilled(page []byte) bool { return bytes.Equal(page, bytes.Repeat(page[:8], pageSize/8)) }

// huge is the smallest object that is kept as a raw page.
const huge = 3833

// direct returns the ratios of pages without anything of this package.
func direct(t *testing.T, codec string, unit int, runs [][]byte) (ratio, effective float64) {
	t.Helper()
	z, err := compressor.New(codec)
	noErr(t, err)
	p, err := zpool.New(zpool.Options{Slots: 1 << 20, MaxBytes: 256 << 20, Compressor: codec})
	noErr(t, err)
	w, dst := p.NewWorker(), make([]byte, z.MaxLen(unit))
	in, out, slot := 0, 0, uint64(0)
	for _, run := range runs {
		var others []byte
		for page := range slices.Chunk(run, pageSize) {
			noErr(t, w.Store(slot, page))
			if slot++; !isSameFilled(page) {
				others = append(others, page...)
			}
		}
		for u := range slices.Chunk(others, unit) {
			in += len(u)
			if n := z.Compress(dst, u); n > 0 && (n < huge || unit > pageSize) {
				out += n
			} else {
				out += len(u)
			}
		}
	}
	s := p.Stats()
	noErr(t, p.Check())
	noErr(t, p.Close())
	return float64(in) / float64(out), float64(s.StoredPages*pageSize) / float64(s.MemoryBytes)
}

// A part of the pages tells of them all, and the margin of how well.
func TestMargin(t *testing.T) {
	s := sampleOf(t, "typical", 8192)
	var all sizes
	z, err := compressor.New("s2")
	noErr(t, err)
	dst := make([]byte, z.MaxLen(pageSize))
	for _, r := range s.runs {
		total := 0
		for at := 0; at < len(r.others); at += pageSize {
			if n := z.Compress(dst, r.others[at:at+pageSize]); n > 0 {
				total += n
			} else {
				total += pageSize
			}
		}
		all.add(len(r.others)/pageSize, total)
	}
	truth, margin := all.ratio(1)
	if margin != 0 {
		t.Errorf("all pages: a margin of %v", margin)
	}
	const tries = 400
	within, sum := 0, 0.0
	random := rand.New(rand.NewPCG(1, 2))
	for range tries {
		var part sizes
		for _, i := range random.Perm(len(s.runs))[:len(s.runs)/2] {
			part.add(int(all.pages[i]), int(all.bytes[i]))
		}
		ratio, margin := part.ratio(0.5)
		if math.Abs(ratio/truth-1) <= margin {
			within++
		}
		sum += margin
	}
	if within < tries*91/100 || within > tries*98/100 {
		t.Errorf("%d of %d samples were within their margin, want 95 %%", within, tries)
	}
	t.Logf("%d of %d samples within their margin of %.1f %% on average", within, tries, 100*sum/tries)
}

// The sum that one run is of itself has no margin, and nothing at all no ratio.
func TestRatioOfLittle(t *testing.T) {
	var s sizes
	if ratio, margin := s.ratio(0.5); ratio != 0 || margin != 0 {
		t.Error(ratio, margin)
	}
	s.add(16, 16*pageSize/2)
	if ratio, margin := s.ratio(0.5); ratio != 2 || margin != 0 {
		t.Error(ratio, margin)
	}
}

// A process whose pages are all same-filled needs no codec; nothing is divided by nothing.
func TestAllSameFilled(t *testing.T) {
	s := sampleOf(t, "same", 2000)
	if s.same != 2000 || s.pages() != 2000 || s.duplicates != 0 {
		t.Errorf("%d same-filled, %d duplicates of %d", s.same, s.duplicates, s.pages())
	}
	r := &Report{}
	noErr(t, r.measure(t.Context(), s, 0.5, func(int, string) {}))
	r.Choice = Choose(r.Codecs, 1<<30, 8<<30)
	for _, c := range r.Codecs {
		if c.Ratio != 0 || c.Margin != 0 || c.IncompressiblePages != 0 || c.UnitBytes == pageSize && c.EffectiveRatio < 20 {
			t.Errorf("%+v", c)
		}
	}
	if c := r.Choice; !c.Worth || c.Codec != compressor.Default || c.Cold != "" || c.PoolLimitBytes > 60<<20 || !strings.Contains(c.Reasons[0], "same-filled") {
		t.Errorf("%+v", c)
	}
	r.Sample.Pages = 2000
	r.Savings = savings(&Population{EligibleBytes: 1 << 30}, r.chosen().EffectiveRatio)
	var b bytes.Buffer
	noErr(t, r.WriteText(&b))
	if text := b.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error(text)
	}
}

// What does not compress is not worth it, and we say so.
func TestAllRandom(t *testing.T) {
	r := &Report{}
	noErr(t, r.measure(t.Context(), sampleOf(t, "random", 500), 1, func(int, string) {}))
	for _, c := range r.Codecs {
		if c.IncompressiblePages != 500 || c.Ratio != 1 {
			t.Errorf("%+v", c)
		}
	}
	if c := Choose(r.Codecs, 1<<30, 8<<30); c.Worth {
		t.Errorf("%+v", c)
	}
}

func TestDuplicates(t *testing.T) {
	capturetest.NeedRoot(t)
	p := capturetest.Start(t, "java:30", "java:20", "same:10")
	p.Stop()
	times, same, duplicates := map[string]int64{}, int64(0), int64(0)
	for page := range slices.Chunk(slices.Concat(captured(t, p.PID())...), pageSize) {
		switch {
		case isSameFilled(page):
			same++
		case times[string(page)] > 0:
			duplicates++
		}
		times[string(page)]++
	}
	pop, err := capture.Scan(t.Context(), []int{p.PID()}, capture.Options{})
	noErr(t, err)
	defer pop.Close()
	s, err := take(t.Context(), pop, math.MaxInt64, 1)
	noErr(t, err)
	defer s.close()
	others := 0
	for _, r := range s.runs {
		others += len(r.others) / pageSize
	}
	if s.duplicates != duplicates || s.same != same || int64(others) != s.pages()-s.same || s.pages() != pop.Pages {
		t.Errorf("%d duplicates, %d same-filled, %d others of %d; want %d, %d", s.duplicates, s.same, others, s.pages(), duplicates, same)
	}
	if duplicates < 20 || same < 10 {
		t.Errorf("%d duplicates, %d same-filled", duplicates, same)
	}
}

func TestNothingToEstimate(t *testing.T) {
	capturetest.NeedRoot(t)
	p := capturetest.Start(t, "everything:10")
	if _, err := Run(t.Context(), []int{p.PID()}, Options{Most: 1000}); !errors.Is(err, capture.ErrNothing) {
		t.Error(err)
	}
	ended := capturetest.Start(t, "java:100")
	pop, err := capture.Scan(t.Context(), []int{ended.PID()}, capture.Options{})
	noErr(t, err)
	defer pop.Close()
	ended.Kill()
	if _, err := take(t.Context(), pop, 1000, 1); !errors.Is(err, capture.ErrNothing) {
		t.Errorf("one that ended since the scan: %v", err)
	}
	p.Kill()
	if _, err := Run(t.Context(), []int{p.PID()}, Options{Most: 1000}); !errors.Is(err, capture.ErrNothing) {
		t.Errorf("a zombie: %v", err)
	}
}

// At whatever step it is interrupted, it ends there.
func TestInterrupted(t *testing.T) {
	capturetest.NeedRoot(t)
	p := capturetest.Start(t, "java:200")
	enough := errors.New("enough")
	for step := range len(codecs) + 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		last := -1
		_, err := Run(ctx, []int{p.PID()}, Options{Most: 1000, Progress: func(done, of int, _ string) {
			if last = done; done == step {
				cancel(enough)
			}
		}})
		if !errors.Is(err, enough) || last != step {
			t.Errorf("step %d: at step %d, %v", step, last, err)
		}
	}
}

// The sample is in no core file.
func TestSampleIsNotDumped(t *testing.T) {
	s := sampleOf(t, "java", 16)
	text, err := os.ReadFile("/proc/self/smaps")
	noErr(t, err)
	_, mapping, found := strings.Cut(string(text), strings.TrimPrefix(fmt.Sprintf("%p-", s.mem), "0x"))
	_, flags, _ := strings.Cut(mapping, "VmFlags:")
	flags, _, _ = strings.Cut(flags, "\n")
	if !found || !strings.Contains(flags, " dd ") {
		t.Errorf("the sample at %p has the flags %q", s.mem, flags)
	}
}

func TestDescribe(t *testing.T) {
	got := describe(&capture.Population{
		Processes: make([]*capture.Process, 3), Pages: 100, Referenced: 30, Swapped: 5, Gone: 1, Denied: 2, LeftOut: map[capture.Reason]int64{capture.Locked: 7},
	})
	want := Population{
		Processes: 3, EligibleBytes: 100 * pageSize, UnreferencedBytes: 70 * pageSize, SwappedBytes: 5 * pageSize, GoneProcesses: 1, DeniedProcesses: 2,
		LeftOutBytes: map[capture.Reason]int64{capture.Locked: 7 * pageSize},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestFits(t *testing.T) {
	if err := fits(1000); err != nil {
		t.Error(err)
	}
	if err := fits(1 << 40); err == nil || !strings.Contains(err.Error(), "--max") {
		t.Error(err)
	}
}

// What was measured comes through the JSON form as it was.
func TestJSONIsWhole(t *testing.T) {
	r := example()
	var b bytes.Buffer
	noErr(t, r.WriteJSON(&b))
	var back Report
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	noErr(t, d.Decode(&back))
	var again, once bytes.Buffer
	noErr(t, back.WriteJSON(&again))
	noErr(t, r.WriteJSON(&once))
	if again.String() != once.String() {
		t.Errorf("%s\n%s", again.String(), once.String())
	}
}
