package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/capturetest"
)

const everything = math.MaxInt64 // pages

// once is what found returns for pages that are there once each.
func once(pages ...int) map[int]int {
	m := map[int]int{}
	for _, i := range pages {
		m[i] = 1
	}
	return m
}

func upTo(n, step int) (list []int) {
	for i := 0; i < n; i += step {
		list = append(list, i)
	}
	return list
}

var regions = []string{"plain:40", "holes:20", "dontdump:8", "locked:7", "shared:6", "file:8", "unreadable:5", "zero:4", "secret:3"}

// What can be swapped is captured, once; what cannot, or what programs want nobody to see, is not.
func TestExactlyTheEligiblePages(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, regions...)
	child.Stop()
	if len(child.Lacks) > 0 {
		t.Logf("this kernel lacks %v", child.Lacks)
	}
	want := map[string]map[int]int{"plain": once(upTo(40, 1)...), "holes": once(upTo(20, 2)...), "file": once(0, 1)}
	for _, all := range []bool{false, true} {
		pop := scan(t, all, child.PID())
		mem := slices.Concat(sample(t, pop, everything, 1)...)
		leftOut := map[Reason]int64{NotDumped: 8, Locked: 7, Unreadable: 5}
		if all {
			want["dontdump"], want["locked"] = once(upTo(8, 1)...), once(upTo(7, 1)...)
			leftOut = map[Reason]int64{Unreadable: 5}
		}
		if got := found(t, mem); !reflect.DeepEqual(got, want) {
			t.Errorf("all %v: found %v, want %v", all, got, want)
		}
		n := resident(t, child.PID())
		if !all {
			n -= pop.LeftOut[Stack] + 8 + 7
		}
		if pop.Pages != n || int64(len(mem)) != n*PageSize || pop.Processes[0].Sampled != n {
			t.Errorf("all %v: %d pages, %d sampled, %d captured, %d by the kernel's count", all, pop.Pages, pop.Processes[0].Sampled, len(mem)/PageSize, n)
		}
		if onStack := bytes.Contains(mem, []byte(capturetest.Secret)); onStack != all {
			t.Errorf("all %v: what is on the stack was captured: %v", all, onStack)
		}
		if (pop.LeftOut[Stack] > 0) == all || pop.LeftOut[Stack] > 100 {
			t.Errorf("all %v: left out: %v", all, pop.LeftOut)
		}
		delete(pop.LeftOut, Stack)
		if !reflect.DeepEqual(pop.LeftOut, leftOut) {
			t.Errorf("all %v: left out: %v, want %v", all, pop.LeftOut, leftOut)
		}
	}
}

// resident asks the kernel, in another way than Scan, for the number of anonymous pages of a process that can be read.
func resident(t *testing.T, pid int) (pages int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	noErr(t, err)
	anonymous := int64(0)
	for line := range strings.Lines(string(text)) {
		switch f := strings.Fields(line); f[0] {
		case "Anonymous:":
			anonymous, err = strconv.ParseInt(f[1], 10, 64)
			noErr(t, err)
		case "VmFlags:":
			if slices.Contains(f, "rd") {
				pages += anonymous / 4
			}
		}
	}
	return pages
}

// Looking changes nothing: pages that were not there are not there afterwards.
func TestNothingIsTouched(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "holes:2000", "zero:500")
	child.Stop()
	before := resident(t, child.PID())
	sample(t, scan(t, true, child.PID()), everything, 1)
	if after := resident(t, child.PID()); after != before {
		t.Errorf("%d pages are resident after a capture, %d were before", after, before)
	}
}

// Pages that are gone since the scan are skipped, not brought back.
func TestPagesThatAreGone(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "holes:100", "plain:200")
	pop := scan(t, false, child.PID())
	child.Drop()
	child.Stop()
	before := resident(t, child.PID())
	mem := slices.Concat(sample(t, pop, everything, 1)...)
	if got := found(t, mem); len(got["plain"]) > 0 || len(got["holes"]) != 50 {
		t.Errorf("found %v", got)
	}
	if n := int64(len(mem) / PageSize); n != pop.Processes[0].Sampled || n > pop.Pages-200 {
		t.Errorf("%d pages captured, %d sampled, of %d less 200", n, pop.Processes[0].Sampled, pop.Pages)
	}
	if after := resident(t, child.PID()); after != before {
		t.Errorf("%d pages are resident after a capture, %d were before", after, before)
	}
}

// What a program locks after the scan is not read either, unless that was asked for.
func TestLockedMeanwhile(t *testing.T) {
	capturetest.NeedRoot(t)
	for _, all := range []bool{false, true} {
		child := capturetest.Start(t, "holes:100", "plain:200")
		pop := scan(t, all, child.PID())
		child.Lock()
		child.Stop()
		got := found(t, slices.Concat(sample(t, pop, everything, 1)...))
		if len(got["holes"]) != 50 || (len(got["plain"]) == 200) != all || (len(got["plain"]) == 0) == all {
			t.Errorf("all %v: found %d and %d", all, len(got["holes"]), len(got["plain"]))
		}
	}
}

// Of terabytes of addresses with a page here and there each page is found, and nothing else is looked at, where the kernel can tell.
func TestSparseMapping(t *testing.T) {
	capturetest.NeedRoot(t)
	const n = 100
	child := capturetest.Start(t, fmt.Sprintf("rare:%d", n))
	child.Stop()
	pop := scan(t, false, child.PID())
	if got := found(t, slices.Concat(sample(t, pop, everything, 1)...)); !reflect.DeepEqual(got["rare"], once(upTo(n, 1)...)) {
		t.Errorf("found %v", got)
	}
	p := pop.Processes[0]
	if _, _, err := populated(p.pagemap, 0, PageSize, make([]pageRegion, 1)); err == unix.ENOTTY {
		t.Skip("no PAGEMAP_SCAN before Linux 6.7")
	} else if err != nil {
		t.Fatal(err)
	}
	mappings, err := p.mappings()
	noErr(t, err)
	for i := range mappings {
		if m := &mappings[i]; m.end-m.start >= n<<30 {
			visited := 0
			p.walk(t.Context(), m, make([]byte, 64<<10), func(uint64, entry) { visited++ })
			if visited < n || visited > n*1000 {
				t.Errorf("%d words looked at for %d pages", visited, n)
			}
		}
	}
}

// A page that cannot be read, because the process ends just then, is skipped.
func TestUnreadPages(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:100")
	pop := scan(t, false, child.PID())
	none, err := os.Open(os.DevNull)
	noErr(t, err)
	noErr(t, pop.Processes[0].mem.Close())
	pop.Processes[0].mem = none
	if runs := sample(t, pop, everything, 1); len(runs) > 0 || pop.Processes[0].Sampled > 0 {
		t.Errorf("%d runs, %d pages", len(runs), pop.Processes[0].Sampled)
	}
}

// What was touched since the kernel last looked is told apart from what was not, and asking does not count as looking.
func TestReferenced(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:1000")
	child.Stop()
	for range 2 {
		if pop := scan(t, false, child.PID()); pop.Referenced < 1000 || pop.Referenced > pop.Pages {
			t.Errorf("%d of %d pages referenced, all of which were just written", pop.Referenced, pop.Pages)
		}
	}
	noErr(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", child.PID()), []byte("1"), 0)) // what the kernel does when it looks
	if pop := scan(t, false, child.PID()); pop.Referenced > 0 {
		t.Errorf("%d of %d pages referenced, none of which was touched since", pop.Referenced, pop.Pages)
	}
}

// A page that several processes have was touched if any of them touched it, and not only where it is counted.
func TestReferencedByAnother(t *testing.T) {
	capturetest.NeedRoot(t)
	parent := capturetest.Start(t, "plain:1000")
	child := parent.Fork() // has touched nothing
	parent.Stop()
	pop := scan(t, false, child, parent.PID())
	if p := pop.Processes[0]; p.Eligible < 1000 || pop.Processes[1].Eligible > 1000 {
		t.Errorf("%d pages counted with the child", p.Eligible)
	}
	if pop.Referenced < 1000 || pop.Referenced > pop.Pages {
		t.Errorf("%d of %d pages referenced, and the parent has just written 1000 of them", pop.Referenced, pop.Pages)
	}
	noErr(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", parent.PID()), []byte("1"), 0))
	if pop := scan(t, false, child, parent.PID()); pop.Referenced > 100 {
		t.Errorf("%d of %d pages referenced, none of the 1000 that both have", pop.Referenced, pop.Pages)
	}
}

// What is left out counts once as well, if several processes have it.
func TestLeftOutOnce(t *testing.T) {
	capturetest.NeedRoot(t)
	parent := capturetest.Start(t, "dontdump:300")
	pids := []int{parent.PID(), parent.Fork(), parent.Fork()}
	parent.Stop()
	if pop := scan(t, false, pids...); pop.LeftOut[NotDumped] != 300 {
		t.Errorf("%d pages that are not to be dumped, of 300 that three processes have", pop.LeftOut[NotDumped])
	}
}

// Two processes that have one memory, as after vfork, count once.
func TestOneMemory(t *testing.T) {
	capturetest.NeedRoot(t)
	parent := capturetest.Start(t, "plain:500")
	child := parent.VFork() // and the parent cannot be stopped
	check := func(pids ...int) {
		t.Helper()
		pop := scan(t, false, pids...)
		if got := found(t, slices.Concat(sample(t, pop, everything, 1)...)); !reflect.DeepEqual(got["plain"], once(upTo(500, 1)...)) {
			t.Errorf("found %v", got)
		}
		if n := pop.Processes[len(pids)-1].Eligible; n > 0 {
			t.Errorf("%d pages came with the second process of one memory", n)
		}
	}
	check(parent.PID(), child)
	check(child, parent.PID())
	check(parent.PID(), parent.Fork(), child)
}

// A sample is no larger than allowed, made of whole runs of neighbours in order, and the same again with the same seed.
func TestSample(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:1600")
	child.Stop()
	pop := scan(t, false, child.PID())
	const most = 400
	a, b, c := sample(t, pop, most, 5), sample(t, pop, most, 5), sample(t, pop, most, 6)
	if !reflect.DeepEqual(a, b) {
		t.Error("two samples with one seed differ")
	}
	if reflect.DeepEqual(a, c) {
		t.Error("two samples with different seeds are the same")
	}
	last := -1
	for _, run := range a {
		for at := 0; at < len(run); at += PageSize {
			_, i, ok := capturetest.Find(run[at : at+PageSize])
			if !ok {
				continue
			}
			if i <= last || at > 0 && i != last+1 && last >= 0 && i%RunPages != 0 {
				t.Errorf("page %d comes after page %d", i, last)
			}
			last = i
		}
	}
	if n := len(slices.Concat(a...)) / PageSize; n > most || n <= most-RunPages || len(a) != most/RunPages {
		t.Errorf("%d pages in %d runs; want %d", n, len(a), most)
	}
}

// Each page is as likely to be in a sample as any other.
func TestSampleIsUniform(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:640")
	child.Stop()
	pop := scan(t, false, child.PID())
	const samples = 200
	times := map[int]int{}
	for seed := range uint64(samples) {
		mem := slices.Concat(sample(t, pop, pop.Pages/4, seed)...)
		for i := range found(t, mem)["plain"] {
			times[i]++
		}
	}
	p := float64(pop.Pages/4/RunPages) / math.Ceil(float64(pop.Pages)/RunPages)
	want, off := samples*p, 5*math.Sqrt(samples*p*(1-p))
	for i := range 640 {
		if n := float64(times[i]); math.Abs(n-want) > off {
			t.Errorf("page %d is in %v samples of %d, want %.0f ± %.0f", i, n, samples, want, off)
		}
	}
}

// What a process shares with a child that it forked is counted once; the child alone has it all.
func TestForkedMemoryIsCountedOnce(t *testing.T) {
	capturetest.NeedRoot(t)
	parent := capturetest.Start(t, "plain:100", "zero:50")
	fork := parent.Fork()
	parent.Stop()
	for _, pids := range [][]int{{parent.PID()}, {fork}, {parent.PID(), fork}} {
		mem := slices.Concat(sample(t, scan(t, false, pids...), everything, 1)...)
		if got := found(t, mem)["plain"]; !reflect.DeepEqual(got, once(upTo(100, 1)...)) {
			t.Errorf("processes %v: %v", pids, got)
		}
	}
	both, one := scan(t, false, parent.PID(), fork), scan(t, false, parent.PID())
	if both.Processes[1].Eligible > one.Pages/2 || both.Pages != both.Processes[0].Eligible+both.Processes[1].Eligible {
		t.Errorf("%d pages of the parent, %d more of the child, %d in all", one.Pages, both.Processes[1].Eligible, both.Pages)
	}
}

// Processes that end meanwhile are skipped, at whatever moment.
func TestProcessesThatEnd(t *testing.T) {
	capturetest.NeedRoot(t)
	stays, goes := capturetest.Start(t, "plain:100"), capturetest.Start(t, "plain:100")
	pids := []int{goes.PID(), stays.PID()}
	pop := scan(t, false, pids...)
	n := 0
	noErr(t, pop.Sample(t.Context(), everything, 1, func([]byte) error {
		if n++; n == 1 {
			goes.Kill()
		}
		return nil
	}))
	if left := pop.Processes[0]; left.Sampled == 0 || left.Sampled >= left.Eligible {
		t.Errorf("of the process that ended after a run, %d of %d pages", left.Sampled, left.Eligible)
	}
	if pop.Processes[1].Sampled < 100 {
		t.Errorf("of the other one, %d pages", pop.Processes[1].Sampled)
	}

	zombie := scan(t, false, pids...) // it has a number, and no memory
	if zombie.Pages != zombie.Processes[len(zombie.Processes)-1].Eligible || zombie.Pages < 100 {
		t.Errorf("with a zombie: %+v", zombie)
	}
	goes.Reap()
	if gone := scan(t, false, pids...); gone.Gone != 1 || len(gone.Processes) != 1 {
		t.Errorf("with one that is gone: %+v", gone)
	}
}

// A process that executes another program meanwhile does not show that one's memory.
func TestProcessThatExecutes(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:100")
	pop := scan(t, false, child.PID())
	child.Exec()
	if runs := sample(t, pop, everything, 1); len(runs) > 0 {
		t.Errorf("%d runs of a memory that is gone", len(runs))
	}
}

func TestScanIsInterrupted(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:10")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := Scan(ctx, []int{child.PID()}, Options{}); !errors.Is(err, enough) {
		t.Error(err)
	}
}
