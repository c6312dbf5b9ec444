package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/corpus"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/zram"
)

// Run measures what the options, which are complete, ask for. When the context ends it cleans up and returns the cause.
func Run(ctx context.Context, o *Options) (*Result, error) {
	if err := o.checkZRAM(); err != nil {
		return nil, err
	}
	b := bench{o: o, r: &Result{
		Version: Version, Machine: machine.Describe(),
		Settings: Settings{Rounds: o.Rounds, WarmUpRounds: warmUps, BlockPages: blockPages, ZRAMBatch: zram.BatchPages, Together: o.Together,
			ColdCodec: o.ColdCodec, ClusterSize: o.ClusterSize},
	}}
	for _, codec := range o.Codecs {
		b.sides = append(b.sides, poolSide{codec, o.ColdCodec, o.ClusterSize})
	}
	for _, a := range o.algorithms {
		b.sides = append(b.sides, zramSide{a, o.State})
	}
	sets := [][]corpus.Source{o.sources}
	if !o.Together {
		sets = slices.Collect(slices.Chunk(o.sources, 1))
	}
	if err := b.fits(sets); err != nil {
		return nil, err
	}
	b.total = len(sets) * (2*(warmUps+o.Rounds)*len(o.Threads) + 1)
	noise := machine.Watch()
	for _, set := range sets {
		if err := b.measureSet(ctx, set); err != nil {
			return nil, err
		}
	}
	b.r.Noise = noise()
	b.r.compare()
	return b.r, nil
}

// bench is a run under way.
type bench struct {
	o           *Options
	r           *Result
	sides       []side
	done, total int // steps
}

// fits refuses what would push the machine's other memory out, in the worst case: pages that do not get smaller.
func (b *bench) fits(sets [][]corpus.Source) error {
	free, err := swapdev.MemAvailable()
	if err != nil {
		return fmt.Errorf("how much memory is free: %w", err)
	}
	for _, set := range sets {
		need := countPages(set) * corpus.PageSize * int64(1+len(b.sides))
		if need > int64(free) {
			return fmt.Errorf("%s may take %s of memory, once for the pages and once for each of %d systems, and %s is free: take fewer pages with --pages, or fewer systems",
				nameOf(set), report.Bytes(need), len(b.sides), report.Bytes(int64(free)))
		}
	}
	return nil
}

func countPages(set []corpus.Source) (n int64) {
	for _, s := range set {
		n += s.Pages
	}
	return n
}

func nameOf(set []corpus.Source) string {
	if len(set) > 1 {
		return "together"
	}
	return set[0].Name
}

// step tells the progress.
func (b *bench) step(format string, args ...any) {
	if b.o.Progress != nil {
		b.o.Progress(b.done, b.total, fmt.Sprintf(format, args...))
	}
	b.done++
}

// measureSet measures corpora that go into one store.
func (b *bench) measureSet(ctx context.Context, set []corpus.Source) (err error) {
	name := nameOf(set)
	if b.o.Together {
		name = "together"
	}
	pages, err := zram.NewBuffer(int(countPages(set)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, zram.FreeBuffer(pages)) }()
	rest := pages
	for _, s := range set {
		if err := s.Read(rest[:s.Pages*corpus.PageSize]); err != nil {
			return err
		}
		rest = rest[s.Pages*corpus.PageSize:]
	}
	counts := corpus.Count(pages)
	first := len(b.r.Rows)
	for _, threads := range b.o.Threads {
		if err := b.measureThreads(ctx, name, pages, threads); err != nil {
			return err
		}
	}
	b.step("%s: freeing, compacting and ageing", name)
	for i, s := range b.sides {
		st, err := statesOf(ctx, s, pages)
		if err != nil {
			return err
		}
		for at := first + i; at < len(b.r.Rows); at += len(b.sides) {
			b.r.Rows[at].States = st
			b.r.Rows[at].count(name, counts)
		}
	}
	return nil
}

// measureThreads adds a row of each side.
func (b *bench) measureThreads(ctx context.Context, name string, pages []byte, threads int) (err error) {
	out, err := zram.NewBuffer(threads * blockPages)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, zram.FreeBuffer(out)) }()
	g, err := newGroup(b.sides, pages, threads, b.o.Rounds, out)
	if err != nil {
		return err
	}
	defer g.close()
	noise := machine.Watch()
	for n := -warmUps; n < b.o.Rounds; n++ {
		for how := range 2 {
			b.step("%s, threads %d, %s", name, threads, roundName(n, b.o.Rounds))
			if err := g.round(ctx, how, n >= 0); err != nil {
				return err
			}
		}
	}
	end := noise()
	for s := range b.sides {
		r := g.row(s)
		r.Noise = end
		b.r.Rows = append(b.r.Rows, r)
	}
	return nil
}

func roundName(n, of int) string {
	if n < 0 {
		return "warming up"
	}
	return fmt.Sprintf("round %d of %d", n+1, of)
}

// count fills in what follows from the corpus.
func (r *Row) count(name string, c corpus.Counts) {
	r.Corpus, r.Pages, r.SameFilledPages, r.DuplicatePages = name, c.Pages, c.SameFilled, c.Duplicates
	r.Default = r.System == "zswapd" && r.Codec == compressor.Default
	other := float64((c.Pages - c.SameFilled) * corpus.PageSize)
	r.CompressedRatio = other / float64(r.CompressedBytes)
	r.EffectiveRatio = float64(c.Pages*corpus.PageSize) / float64(r.MemoryBytes)
	r.EffectiveRatioApart = other / float64(r.MemoryBytes)
}

// compare holds each codec against each algorithm of zram.
func (r *Result) compare() {
	r.Comparisons = []Comparison{}
	type pair struct {
		codec, against string
		threads        int
	}
	at, n := map[pair]int{}, map[pair]float64{}
	for i := range r.Rows {
		for k := range r.Rows {
			ours, theirs := &r.Rows[i], &r.Rows[k]
			if ours.System != "zswapd" || theirs.System == "zswapd" || ours.Corpus != theirs.Corpus || ours.Threads != theirs.Threads {
				continue
			}
			p := pair{ours.Codec, theirs.System + ":" + theirs.Codec, ours.Threads}
			if _, ok := at[p]; !ok {
				at[p] = len(r.Comparisons)
				r.Comparisons = append(r.Comparisons, Comparison{Codec: p.codec, Against: p.against, Threads: p.threads})
			}
			c := &r.Comparisons[at[p]]
			n[p]++
			c.StoreRate += math.Log(theirs.StoreNsPerPage / ours.StoreNsPerPage)
			c.RestoreRate += math.Log(theirs.RestoreNsPerPage / ours.RestoreNsPerPage)
			c.LoadRate += math.Log(theirs.LoadNsPerPage / ours.LoadNsPerPage)
			c.EffectiveRatio += math.Log(ours.EffectiveRatio / theirs.EffectiveRatio)
			aged := ours.EffectiveRatio
			if a := ours.States.Aged; a != nil {
				aged = a.EffectiveRatio
			}
			c.AgedRatio += math.Log(aged / theirs.EffectiveRatio)
		}
	}
	for p, i := range at {
		c := &r.Comparisons[i]
		for _, v := range []*float64{&c.StoreRate, &c.RestoreRate, &c.LoadRate, &c.EffectiveRatio, &c.AgedRatio} {
			*v = math.Exp(*v / n[p])
		}
	}
}
