package bench

import (
	"context"
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
	return st, nil
}

// freeSome does so with one store and one share.
func freeSome(ctx context.Context, s side, pages []byte, percent int, to *Freed) (filled Level, err error) {
	n := len(pages) / corpus.PageSize
	b, err := s.open(int64(n), 1)
	if err != nil {
		return filled, err
	}
	defer closeAll([]box{b}, &err)
	for first := 0; first < n; first += blockPages {
		if ctx.Err() != nil {
			return filled, context.Cause(ctx)
		}
		if err := callInBatches(b.user(0).store, first, s.batch(), pages[first*corpus.PageSize:min(first+blockPages, n)*corpus.PageSize]); err != nil {
			return filled, err
		}
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
