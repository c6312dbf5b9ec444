package workload

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func patternOf(mode string, pages int) pattern {
	return newPattern(mode, rand.New(rand.NewPCG(1, 2)), pages)
}

func TestScanGoesRound(t *testing.T) {
	p := patternOf(Scan, 5)
	for n := range 23 {
		if got := p.next(); got != n%5 {
			t.Fatalf("touch %d is of page %d", n, got)
		}
	}
}

func TestRandomTouchesAllAlike(t *testing.T) {
	const pages, touches = 100, 100_000
	seen := touchesOf(patternOf(Random, pages), pages, touches)
	if seen[0] < touches/pages*3/4 || seen[pages-1] > touches/pages*5/4 {
		t.Errorf("the most is %d, the least %d", seen[pages-1], seen[0])
	}
}

func TestColdPagesStayCold(t *testing.T) {
	const pages, touches = 1000, 100_000
	p, seen, hot := patternOf(Cold, pages), make([]int, pages), 0
	for range touches {
		seen[p.next()]++
	}
	for i, n := range seen {
		if cold := i%160 < 112 || i >= 960; cold != (n == 0) {
			t.Errorf("page %d was touched %d times", i, n)
		}
		if n > 0 {
			hot++
		}
	}
	if hot != 288 {
		t.Errorf("%d pages were touched, want 288 of 1000", hot)
	}
}

// A tenth of the pages takes most of the touches, but all have their turn, and the ranks that follow each other are no
// neighbours.
func TestZipfIsSkewed(t *testing.T) {
	const pages, touches = 1000, 1_000_000
	seen := touchesOf(patternOf(Zipf, pages), pages, touches)
	tenth := 0
	for _, n := range seen[pages*9/10:] {
		tenth += n
	}
	if share := float64(tenth) / touches; share < 0.6 || share > 0.75 {
		t.Errorf("a tenth of the pages has %.2f of the touches", share)
	}
	if seen[0] == 0 {
		t.Error("a page was never touched")
	}
	for _, pages := range []int{1, 2, 3, 4, 6, 1000, 1024, 131072} {
		p := newZipf(rand.New(rand.NewPCG(1, 2)), pages)
		places := map[uint64]bool{}
		for rank := range uint64(pages) {
			places[rank*p.step%p.pages] = true
		}
		if len(places) != pages {
			t.Errorf("%d pages: %d places", pages, len(places))
		}
		if pages >= 1000 && (p.step < 100 || p.step > uint64(pages)-100) {
			t.Errorf("%d pages: the second rank is %d pages from the first", pages, p.step)
		}
		if i := p.next(); i < 0 || i >= pages {
			t.Errorf("%d pages: page %d", pages, i)
		}
	}
}

// touchesOf returns how often each page was touched, the least first.
func touchesOf(p pattern, pages, touches int) []int {
	seen := make([]int, pages)
	for range touches {
		seen[p.next()]++
	}
	slices.Sort(seen)
	return seen
}

// Each named workload runs and verifies.
func TestNamed(t *testing.T) {
	for _, name := range Names() {
		c, err := small(2, Byte).Named(name)
		must(t, err)
		c.Child = self
		if c.Mode == Cold {
			c.Threads = 1 // a thread's share must hold many runs of cold pages
		}
		res, err := Run(t.Context(), c)
		must(t, err)
		if want := map[string]int{"read-mostly": 5, "write-heavy": 90}[name]; want != 0 && c.Write != want {
			t.Errorf("%s: %d %% writes, want %d", name, c.Write, want)
		}
		if share := 100 * float64(res.Writes) / float64(res.Touches); share < float64(c.Write)-5 || share > float64(c.Write)+5 {
			t.Errorf("%s: %.0f %% writes, want %d", name, share, c.Write)
		}
		if res.Touches < c.Touches || res.Verified < 301 && c.Mode != Fork || res.Failures != 0 {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if _, err := Default().Named("tidal"); err == nil {
		t.Error("a workload that there is not")
	}
}
