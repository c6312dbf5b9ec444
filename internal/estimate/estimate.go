package estimate

import (
	"context"
	"errors"
	"fmt"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
)

// Options say what to estimate from.
type Options struct {
	Target   string // for the report
	Most     int64  // pages of the sample
	Seed     uint64
	Progress func(done, of int, what string) // may be nil
}

// Run looks at processes and says what compressed swap would give for them. capture.ErrNothing: they have no memory that
// could be swapped.
func Run(ctx context.Context, pids []int, o Options) (*Report, error) {
	steps := len(codecs) + 3
	show := func(done int, what string) {
		if o.Progress != nil {
			o.Progress(done, steps, what)
		}
	}
	r := &Report{Version: 1, Target: o.Target, Machine: machine.Describe()}
	noise := machine.Watch()
	pop, err := capture.Scan(ctx, pids, capture.Options{Progress: func(i, of int) { show(0, fmt.Sprintf("process %d of %d", i+1, of)) }})
	if err != nil {
		return nil, err
	}
	defer pop.Close()
	r.Population = describe(pop)
	if err := fits(min(o.Most, pop.Pages)); err != nil {
		return nil, err
	}
	show(1, "taking a sample")
	s, err := take(ctx, pop, o.Most, o.Seed)
	if err != nil {
		return nil, err
	}
	r.Sample = Sample{Pages: s.pages(), Seed: o.Seed, SameFilledPages: s.same, DuplicatePages: s.duplicates}
	err = r.measure(ctx, s, float64(s.pages())/float64(pop.Pages), show)
	if err = errors.Join(err, s.close()); err != nil {
		return nil, err
	}
	r.Choice = Choose(r.Codecs, r.Population.EligibleBytes, r.Machine.MemoryBytes)
	r.Savings = savings(&r.Population, r.chosen().EffectiveRatio)
	r.Noise = noise()
	return r, nil
}

// fits makes sure that measuring does not make the machine swap. The sample is there twice, if it has same-filled pages,
// and once more in the pool.
func fits(pages int64) error {
	free, err := swapdev.MemAvailable()
	if err != nil {
		return fmt.Errorf("how much memory is free: %w", err)
	}
	if need := 3*pages*pageSize + poolRoom; need > int64(free)/2 {
		return fmt.Errorf("measuring a sample of %s takes %s, and the machine has %s of memory free: take less with --max",
			report.Bytes(pages*pageSize), report.Bytes(need), report.Bytes(int64(free)))
	}
	return nil
}

func (r *Report) measure(ctx context.Context, s *sample, share float64, show func(int, string)) error {
	for i, name := range codecs {
		show(2+i, "measuring "+name)
		c, err := measure(ctx, name, s, share)
		if err != nil {
			return err
		}
		r.Codecs = append(r.Codecs, c)
	}
	show(2+len(codecs), "measuring clusters")
	c, err := measureClusters(ctx, dense, s, share)
	if err == nil {
		r.Codecs = append(r.Codecs, c)
	}
	return err
}

// savings says what would be freed if so much were idle and swapped out.
func savings(p *Population, ratio float64) (list []Saving) {
	for _, percent := range []float64{25, 50, 100} {
		list = append(list, saving(p.EligibleBytes, percent, ratio))
	}
	return list
}

func saving(eligible int64, percent, ratio float64) Saving {
	out := int64(float64(eligible) * percent / 100)
	pool := int64(float64(out) / ratio)
	return Saving{IdlePercent: percent, SwappedBytes: out, PoolBytes: pool, FreedBytes: out - pool}
}
