package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/zswapd/zswapd/internal/corpus"
)

const (
	blockPages = 512 // of a thread
	warmUps    = 1   // rounds that do not count
)

// group measures one set of pages with all sides and one number of threads.
type group struct {
	sides  []side
	pages  []byte
	rounds int
	crew   *crew
	parts  []part
	blocks int // of the longest part
	turn   int // whose turn it is to be first

	// Of each side, one for blocks and one for pages that are timed by themselves.
	times []*[2][ops]times
	used  []usage // when it was filled
}

// part is a thread's share of the pages, and what else it needs.
type part struct {
	first, end int
	out        []byte // pages are loaded to it, a block of them
	begin, ns  int64  // of the last block
	samples    []int64
	err        error
	sum        byte     // of pages that were read, so that the compiler does not skip it
	_          [64]byte // so that threads write to lines of their own
}

const (
	inBlocks = iota // how pages are timed
	alone
)

// newGroup starts the threads; close ends them. out has room for a block of each, aligned for direct I/O.
func newGroup(sides []side, pages []byte, threads, rounds int, out []byte) (*group, error) {
	c, err := newCrew(threads)
	if err != nil {
		return nil, err
	}
	g := &group{sides: sides, pages: pages, rounds: rounds, crew: c, used: make([]usage, len(sides))}
	for range sides {
		g.times = append(g.times, new([2][ops]times))
	}
	n := len(pages) / corpus.PageSize
	for i := range threads {
		p := part{first: n * i / threads, end: n * (i + 1) / threads, samples: make([]int64, blockPages)}
		p.out = out[i*blockPages*corpus.PageSize:][:blockPages*corpus.PageSize]
		g.parts = append(g.parts, p)
		g.blocks = max(g.blocks, (p.end-p.first+blockPages-1)/blockPages)
	}
	return g, nil
}

func (g *group) close() { g.crew.stop() }

// boxes opens a new store of every side. What it returns is to be closed, after an error, too.
func (g *group) boxes() (all []box, err error) {
	for _, s := range g.sides {
		b, err := s.open(int64(len(g.pages)/corpus.PageSize), len(g.parts))
		if err != nil {
			system, codec := s.name()
			return all, fmt.Errorf("%s %s: %w", system, codec, err)
		}
		all = append(all, b)
	}
	return all, nil
}

// closeAll adds what goes wrong to an error. Deferred, it is done after a panic, too.
func closeAll(all []box, err *error) {
	for _, b := range all {
		*err = errors.Join(*err, b.close())
	}
}

// round measures every op of every side in new stores. It ends early with the context, whose cause it returns.
func (g *group) round(ctx context.Context, how int, counts bool) (err error) {
	all, err := g.boxes()
	defer closeAll(all, &err)
	if err != nil {
		return err
	}
	return g.measure(ctx, all, how, counts)
}

func (g *group) measure(ctx context.Context, all []box, how int, counts bool) error {
	runtime.GC() // now, and not while something is timed
	for op := range ops {
		for block := range g.blocks {
			g.turn++
			for i := range all {
				s := (g.turn + i) % len(all)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				pages, ns, err := g.block(all[s], g.sides[s].batch(), op, block, how)
				if err != nil {
					system, codec := g.sides[s].name()
					return fmt.Errorf("%s %s: %s: %w", system, codec, opNames[op], err)
				}
				if counts {
					t := &g.times[s][how][op]
					t.add(block, pages, ns)
					if how == alone {
						g.collect(t, block)
					}
				}
			}
		}
		if op == store && how == inBlocks {
			for s, b := range all {
				u, err := b.usage()
				if err != nil {
					return err
				}
				g.used[s] = u
			}
		}
	}
	return nil
}

// block does one op with a block of each thread and returns how long it took all of them.
func (g *group) block(b box, batch int, op op, block, how int) (pages int, ns int64, err error) {
	g.crew.each(func(i int) {
		if p := &g.parts[i]; op == load {
			clear(p.out)
		} else {
			p.sum += readAll(p.in(g.pages, block))
		}
	})
	g.crew.each(func(i int) {
		p, u := &g.parts[i], b.user(i)
		call, buf, first := u.store, p.in(g.pages, block), p.first+block*blockPages
		if op == load {
			call, buf = u.load, p.out[:len(buf)]
		}
		p.begin = now()
		if how == alone {
			p.err = callAlone(call, first, buf, p.samples)
		} else {
			p.err = callInBatches(call, first, batch, buf)
		}
		p.ns = now() - p.begin
	})
	begin, end := int64(1<<62), int64(0)
	for i := range g.parts {
		p := &g.parts[i]
		in := p.in(g.pages, block)
		if len(in) == 0 {
			continue
		}
		pages += len(in) / corpus.PageSize
		begin, end = min(begin, p.begin), max(end, p.begin+p.ns)
		err = errors.Join(err, p.err)
		if op == load && p.err == nil && !bytes.Equal(in, p.out[:len(in)]) {
			err = errors.Join(err, fmt.Errorf("pages %d to %d came back different", p.first+block*blockPages, p.first+block*blockPages+len(in)/corpus.PageSize-1))
		}
	}
	return pages, end - begin, err
}

// in returns a block of the part's pages, which is short, or empty, at the end.
func (p *part) in(pages []byte, block int) []byte {
	first := min(p.first+block*blockPages, p.end)
	return pages[first*corpus.PageSize : min(first+blockPages, p.end)*corpus.PageSize]
}

// collect keeps the times of the pages of the last block.
func (g *group) collect(t *times, block int) {
	for i := range g.parts {
		p := &g.parts[i]
		t.single = append(t.single, p.samples[:len(p.in(g.pages, block))/corpus.PageSize]...)
	}
}

func callInBatches(call func(first int, pages []byte) error, first, batch int, pages []byte) error {
	for ; len(pages) > 0; first += batch {
		n := min(batch*corpus.PageSize, len(pages))
		if err := call(first, pages[:n]); err != nil {
			return err
		}
		pages = pages[n:]
	}
	return nil
}

func callAlone(call func(first int, pages []byte) error, first int, pages []byte, samples []int64) error {
	for i := range len(pages) / corpus.PageSize {
		begin := now()
		if err := call(first+i, pages[i*corpus.PageSize:][:corpus.PageSize]); err != nil {
			return err
		}
		samples[i] = now() - begin
	}
	return nil
}

// readAll brings pages into the cache.
func readAll(pages []byte) (sum byte) {
	for i := 0; i < len(pages); i += 64 {
		sum += pages[i]
	}
	return sum
}

// row puts together what was measured of one side.
func (g *group) row(s int) Row {
	t, u := g.times[s], &g.used[s]
	r := Row{
		Threads: len(g.parts), Pages: u.pages, IncompressiblePages: u.incompressible,
		StoreNsPerPage: t[inBlocks][store].perPage(), RestoreNsPerPage: t[inBlocks][restore].perPage(), LoadNsPerPage: t[inBlocks][load].perPage(),
		CompressedBytes: u.compressed, MemoryBytes: u.memory, MetadataBytesPerPage: float64(u.metadata) / float64(u.pages),
		SinglePage: SinglePage{Store: t[alone][store].alone(), Restore: t[alone][restore].alone(), Load: t[alone][load].alone()},
	}
	r.System, r.Codec = g.sides[s].name()
	for op := range ops {
		r.rounds[op], r.curves[op] = slices.Clone(t[inBlocks][op].perRound()), t[alone][op].curve()
	}
	rate := func(ns float64) float64 { return corpus.PageSize / ns * 1e3 }
	r.StoreMBPerSecond, r.RestoreMBPerSecond, r.LoadMBPerSecond = rate(r.StoreNsPerPage), rate(r.RestoreNsPerPage), rate(r.LoadNsPerPage)
	return r
}
