package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/trace"
	"github.com/zswapd/zswapd/internal/zram"
	"github.com/zswapd/zswapd/zpool"
)

// chunk is how many neighbouring slots one player has.
const chunk = 256

// player is one thread of a replay. It keeps the order of events for each of its slots.
type player struct {
	pool    trace.Pool
	batch   uint64
	me, all uint64     // which of how many
	clock   *clock     // nil: as fast as may be
	made    *catalogue // pages, if the trace has none
	want    book       // of this player's slots
	seed    maphash.Seed
	zeros   uint64 // hash of the page of zeros, which an empty slot gives
	buf     []byte // trace.MaxRun pages, aligned for zram
	counts
}

// counts are what a player did, in pages.
type counts struct {
	store, load histogram.Histogram
	invalidated uint64
	refused     uint64        // by the system, which was full
	wrong       uint64        // loads that brought back something else
	first       string        // what the first of those was
	late        time.Duration // the most that an event came after its time
}

func newPlayer(t target, me, all int, c *clock, made *catalogue, seed maphash.Seed) (*player, error) {
	buf, err := zram.NewBuffer(trace.MaxRun)
	if err != nil {
		return nil, err
	}
	p := &player{
		pool: t.worker(), batch: t.batch(), me: uint64(me), all: uint64(all), clock: c, made: made, want: book{}, seed: seed, buf: buf,
	}
	p.zeros = p.hash(make([]byte, zpool.PageSize))
	return p, nil
}

func (p *player) free() { _ = zram.FreeBuffer(p.buf) } // an unmap of what was mapped cannot fail

// play does what the events of a block say to this player's slots.
func (p *player) play(ctx context.Context, events []trace.Event) error {
	for i := range events {
		e := &events[i]
		switch e.Op {
		case trace.Gap, trace.End, trace.Refused:
			continue
		}
		if err := p.each(ctx, e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// each does the parts of an event that are this player's.
func (p *player) each(ctx context.Context, e *trace.Event) error {
	if p.all == 1 {
		return p.part(ctx, e, e.First, e.Count)
	}
	for at, end := e.First, e.First+e.Count; at < end; {
		next := min((at/chunk+1)*chunk, end)
		if at/chunk%p.all == p.me {
			if err := p.part(ctx, e, at, next-at); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

func (p *player) part(ctx context.Context, e *trace.Event, first, n uint64) error {
	if p.clock != nil {
		p.late = max(p.late, p.clock.wait(ctx, e.At))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch e.Op {
	case trace.Store:
		p.fill(e, first-e.First, n)
		for at := uint64(0); at < n; at += p.batch {
			if err := p.storeSome(first+at, p.pages(at, min(p.batch, n-at))); err != nil {
				return err
			}
		}
	case trace.Load:
		for at := uint64(0); at < n; at += p.batch {
			if err := p.loadSome(first+at, p.pages(at, min(p.batch, n-at))); err != nil {
				return err
			}
		}
	case trace.Invalidate:
		return p.invalidate(first, n)
	}
	return nil
}

// pages returns n pages of the buffer.
func (p *player) pages(at, n uint64) []byte {
	return p.buf[at*zpool.PageSize : (at+n)*zpool.PageSize : (at+n)*zpool.PageSize]
}

// fill puts n pages of a store into the buffer: nothing that is timed reads the trace.
func (p *player) fill(e *trace.Event, from, n uint64) {
	for i := range n {
		if e.Pages != nil {
			copy(p.pages(i, 1), e.Pages[from+i])
		} else {
			copy(p.pages(i, 1), p.made.page(int(e.Sizes[from+i]), e.First+from+i))
		}
	}
}

// hash is never 0.
func (p *player) hash(page []byte) uint64 { return max(maphash.Bytes(p.seed, page), 1) }

func (p *player) storeSome(first uint64, src []byte) error {
	n := uint64(len(src) / zpool.PageSize)
	begin := now()
	err := p.pool.Store(first, src)
	took := now() - begin
	if errors.Is(err, zpool.ErrFull) {
		p.refused += n // and the slots are as they were
		return nil
	}
	if err != nil {
		return fmt.Errorf("store of slot %d: %w", first, err)
	}
	p.store.ObserveN(took/time.Duration(n), n)
	for i := range n {
		p.want.set(first+i, p.hash(src[i*zpool.PageSize:][:zpool.PageSize]))
	}
	return nil
}

func (p *player) loadSome(first uint64, dst []byte) error {
	n := uint64(len(dst) / zpool.PageSize)
	begin := now()
	err := p.pool.Load(first, dst)
	took := now() - begin
	if errors.Is(err, zpool.ErrCorrupt) {
		p.mismatch(first, err.Error(), n)
		return nil
	}
	if err != nil {
		return fmt.Errorf("load of slot %d: %w", first, err)
	}
	p.load.ObserveN(took/time.Duration(n), n)
	for i := range n {
		want := cmp.Or(p.want.at(first+i), p.zeros)
		if p.hash(dst[i*zpool.PageSize:][:zpool.PageSize]) != want {
			p.mismatch(first+i, "not the page that was stored there", 1)
		}
	}
	return nil
}

func (p *player) mismatch(slot uint64, what string, n uint64) {
	if p.wrong == 0 {
		p.first = fmt.Sprintf("slot %d: %s", slot, what)
	}
	p.wrong += n
}

func (p *player) invalidate(first, n uint64) error {
	if err := p.pool.Invalidate(first, n); err != nil {
		return fmt.Errorf("invalidation of %d slots at %d: %w", n, first, err)
	}
	p.invalidated += n
	p.want.clear(first, n)
	return nil
}
