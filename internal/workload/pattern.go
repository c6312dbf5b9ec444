package workload

import "math/rand/v2"

// Orders of the touches of a thread.
const (
	Random = "random" // any page, each as likely
	Scan   = "scan"   // one page after another, again and again
	Zipf   = "zipf"   // as a cache is used: some pages often, most seldom, wherever they lie
	Cold   = "cold"   // at random, but seven pages in ten never again
	Fork   = "fork"   // at random, in processes that fill memory of their own and exit: see Config.Child
)

// pattern is the order in which a thread touches its pages.
type pattern interface {
	next() int // index of a page within the thread's part
}

type randomPattern struct {
	rand  *rand.Rand
	pages int
}

func (p *randomPattern) next() int { return p.rand.IntN(p.pages) }

// coldPattern touches the last three of each run of ten coldRun pages, for what is hot and what is cold lies in heaps side by
// side, but not page by page.
type coldPattern struct {
	rand *rand.Rand
	hot  int // pages
}

const coldRun = 16

func newCold(r *rand.Rand, pages int) *coldPattern {
	hot := pages / (10 * coldRun) * (3 * coldRun)
	return &coldPattern{rand: r, hot: hot}
}

func (p *coldPattern) next() int {
	i := p.rand.IntN(p.hot)
	return i/(3*coldRun)*(10*coldRun) + 7*coldRun + i%(3*coldRun)
}

type scanPattern struct{ at, pages int }

func (p *scanPattern) next() int {
	i := p.at
	p.at = (p.at + 1) % p.pages
	return i
}

// zipfExponent is that of a cache's keys: the page at rank k is touched about 1/k as often as the first.
const zipfExponent = 1.01

// zipfPattern gives ranks places that are far from each other, or neighbours would come back together.
type zipfPattern struct {
	zipf        *rand.Zipf
	step, pages uint64 // without a common divisor, so that each rank has a page of its own
}

func newZipf(r *rand.Rand, pages int) *zipfPattern {
	p := &zipfPattern{zipf: rand.NewZipf(r, zipfExponent, 1, uint64(pages-1)), pages: uint64(pages)}
	p.step = uint64(float64(pages)*0.618) | 1
	for gcd(p.step, p.pages) != 1 {
		p.step++
	}
	return p
}

func (p *zipfPattern) next() int { return int(p.zipf.Uint64() * p.step % p.pages) }

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// newPattern returns the order of a mode that Validate knows.
func newPattern(mode string, r *rand.Rand, pages int) pattern {
	switch mode {
	case Random, Fork:
		return &randomPattern{rand: r, pages: pages}
	case Scan:
		return &scanPattern{pages: pages}
	case Zipf:
		return newZipf(r, pages)
	case Cold:
		return newCold(r, pages)
	}
	panic("workload: no such mode: " + mode)
}
