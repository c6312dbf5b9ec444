package capture

import (
	"context"
	"math/rand/v2"
)

// RunPages is how many neighbouring pages a sample takes at a time.
const RunPages = 16

// Sample reads eligible pages in order, run after run, and passes each run to emit, which must not keep it. If there
// are more than most pages, it takes runs at random, each as likely as any other; with one seed, and memory
// that is the same, the same ones. Pages that are gone meanwhile, or may not be looked at any more, make a run shorter.
func (pop *Population) Sample(ctx context.Context, most int64, seed uint64, emit func(run []byte) error) error {
	runs := (pop.Pages + RunPages - 1) / RunPages
	wanted := runs
	if most < pop.Pages {
		wanted = most / RunPages
	}
	for _, p := range pop.Processes {
		p.again = false
	}
	r := rand.New(rand.NewPCG(seed, 0))
	at := cursor{processes: pop.Processes}
	buf := make([]byte, 0, RunPages*PageSize)
	for run := range runs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if r.Int64N(runs-run) >= wanted {
			at.walk(RunPages, func(*Process, span) {})
			continue
		}
		wanted--
		buf = buf[:0]
		at.walk(RunPages, func(p *Process, s span) {
			if !p.again {
				p.lookAgain(pop.all)
			}
			buf = p.read(buf, s.first, s.n)
		})
		if len(buf) == 0 {
			continue
		}
		if err := emit(buf); err != nil {
			return err
		}
	}
	clear(buf[:cap(buf)])
	return nil
}

// cursor is a place among all eligible pages.
type cursor struct {
	processes []*Process
	span      int    // of the first process
	offset    uint64 // pages of the span that are done
}

// walk goes on by n pages, or as many as there are, and visits the spans on the way.
func (c *cursor) walk(n uint64, visit func(*Process, span)) {
	for n > 0 && len(c.processes) > 0 {
		p := c.processes[0]
		if c.span == len(p.spans) {
			c.processes, c.span, c.offset = c.processes[1:], 0, 0
			continue
		}
		s := p.spans[c.span]
		take := min(n, s.n-c.offset)
		visit(p, span{s.first + c.offset, take})
		n -= take
		if c.offset += take; c.offset == s.n {
			c.span, c.offset = c.span+1, 0
		}
	}
}
