package workload

import "math/rand/v2"

// pattern is the order in which a thread touches its pages.
type pattern interface {
	next() int // index of a page within the thread's part
}

type randomPattern struct {
	rand  *rand.Rand
	pages int
}

func (p *randomPattern) next() int { return p.rand.IntN(p.pages) }

// newPattern returns the order of a mode that Validate knows.
func newPattern(mode string, r *rand.Rand, pages int) pattern {
	switch mode {
	case "random":
		return &randomPattern{rand: r, pages: pages}
	}
	panic("workload: no such mode: " + mode)
}
