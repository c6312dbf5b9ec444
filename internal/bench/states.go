package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/zswapd/zswapd/internal/corpus"
)

// statesOf fills a new store, frees pages at random and compacts it, once for each share.
func statesOf(ctx context.Context, s side, pages []byte) (st States, err error) {
	for _, f := range []struct {
		percent int
		to      *Freed
	}{{50, &st.Freed50}, {90, &st.Freed90}} {
		if st.Filled, err = freeSome(ctx, s, pages, f.percent, f.to); err != nil {
			return st, err
		}
	}
	st.Aged, err = ageAll(ctx, s, pages)
	return st, err
}

// ageAll fills a store, lets its pages age, and loads them at random.
func ageAll(ctx context.Context, s side, pages []byte) (a *Aged, err error) {
	n := len(pages) / corpus.PageSize
	b, err := s.open(int64(n), 1)
	if err != nil {
		return nil, err
	}
	defer closeAll([]box{b}, &err)
	old, ok := b.(ager)
	if !ok {
		return nil, nil
	}
	if err := fill(ctx, s, b, pages); err != nil {
		return nil, err
	}
	if err := old.age(ctx); err != nil {
		return nil, err
	}
	u, err := b.usage()
	if err != nil {
		return nil, err
	}
	r, page := rand.New(rand.NewPCG(1, uint64(n))), make([]byte, corpus.PageSize)
	for i, at := range r.Perm(n) {
		if i%blockPages == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := b.user(0).load(at, page); err != nil {
			return nil, err
		}
		if want := pages[at*corpus.PageSize:][:corpus.PageSize]; !bytes.Equal(page, want) {
			return nil, fmt.Errorf("page %d came back changed after it was packed", at)
		}
	}
	aged := old.aged()
	aged.Level = u.level()
	aged.EffectiveRatio = float64(len(pages)) / float64(u.memory)
	return &aged, nil
}

// fill stores all pages.
func fill(ctx context.Context, s side, b box, pages []byte) error {
	n := len(pages) / corpus.PageSize
	for first := 0; first < n; first += blockPages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := callInBatches(b.user(0).store, first, s.batch(), pages[first*corpus.PageSize:min(first+blockPages, n)*corpus.PageSize]); err != nil {
			return err
		}
	}
	return nil
}

// freeSome does so with one store and one share.
func freeSome(ctx context.Context, s side, pages []byte, percent int, to *Freed) (filled Level, err error) {
	n := len(pages) / corpus.PageSize
	b, err := s.open(int64(n), 1)
	if err != nil {
		return filled, err
	}
	defer closeAll([]box{b}, &err)
	if err := fill(ctx, s, b, pages); err != nil {
		return filled, err
	}
	level := func(l *Level) {
		if err == nil {
			var u usage
			u, err = b.usage()
			*l = u.level()
		}
	}
	level(&filled)
	r := rand.New(rand.NewPCG(uint64(percent), uint64(n)))
	for i, page := range r.Perm(n)[:n*percent/100] {
		if i%blockPages == 0 && ctx.Err() != nil {
			return filled, context.Cause(ctx)
		}
		if err := b.free(int64(page)); err != nil {
			return filled, err
		}
	}
	level(&to.Freed)
	if err == nil {
		to.Compaction, err = b.compact()
	}
	level(&to.Compacted)
	return filled, err
}
