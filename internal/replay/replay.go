package replay

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/trace"
)

// ErrWrong is returned, wrapped, when a page came back that is not the one that was stored.
var ErrWrong = errors.New("pages came back wrong")

// Run replays a trace in each system, one after the other. A trace that is cut off is replayed as far as it goes, and the
// report says so; for one that is damaged, and for wrong pages, there is an error beside the report. When ctx ends, what was made is
// removed, and its cause returned.
func Run(ctx context.Context, o *Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m, err := meta(o.File)
	if err != nil {
		return nil, err
	}
	systems, err := o.systems(&m)
	if err != nil {
		return nil, err
	}
	r := newReport(o, &m)
	end := machine.Watch()
	var errs []error
	for _, s := range systems {
		result, err := one(ctx, o, s, &r.Trace)
		if result == nil {
			return nil, err
		}
		r.Systems = append(r.Systems, *result)
		errs = append(errs, err)
	}
	r.Noise = end()
	return r, errors.Join(errs...)
}

func meta(path string) (m trace.Meta, err error) {
	f, _, err := open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	r, err := trace.NewReader(f)
	if err != nil {
		return m, usagef("%s: %w", path, err)
	}
	defer r.Close()
	return r.Meta(), nil
}

// session is a trace that is replayed in one system.
type session struct {
	o       *Options
	system  system
	target  target
	trace   *trace.Reader
	read    *counter // of the file
	players []*player
	samples []Sample
	tally   tally
}

// one replays the trace in one system. It returns nil if that could not be done.
func one(ctx context.Context, o *Options, s system, about *Trace) (result *System, err error) {
	f, size, err := open(o.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &session{o: o, system: s, read: &counter{r: f, size: size}}
	if r.trace, err = trace.NewReader(r.read); err != nil {
		return nil, err
	}
	defer r.trace.Close()
	if r.target, err = s.open(); err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	defer func() {
		if e := r.close(); e != nil {
			err = errors.Join(err, fmt.Errorf("%v: %w", s, e))
		}
	}()
	began := time.Now()
	if err := r.play(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, trace.ErrTruncated) && !errors.Is(err, trace.ErrCorrupt) {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
		r.tally.problem = err
	}
	about.fill(&r.tally)
	result, err = r.result(time.Since(began))
	if errors.Is(r.tally.problem, trace.ErrCorrupt) {
		err = errors.Join(err, r.tally.problem)
	}
	return result, err
}

func (r *session) close() error {
	for _, p := range r.players {
		p.free()
	}
	return r.target.close()
}

// play replays block by block. Its error is that of the trace, of the system, or of ctx.
func (r *session) play(ctx context.Context) error {
	next, stop := r.blocks()
	defer stop()
	var c *clock
	for {
		events, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.players == nil {
			if r.o.Recorded {
				c = newClock(events[0].At)
			}
			if err := r.start(c); err != nil {
				return err
			}
		}
		for piece := range slices.Chunk(events, pieceEvents) {
			if err := r.piece(ctx, piece); err != nil {
				return err
			}
		}
		if r.o.Progress != nil {
			r.o.Progress(r.system.String(), r.read.share())
		}
	}
}

func (r *session) start(c *clock) error {
	var made *catalogue
	if m := r.trace.Meta(); !m.Pages {
		var err error
		if made, err = newCatalogue(m.Compressor); err != nil {
			return err
		}
	}
	seed := maphash.MakeSeed()
	for i := range r.o.Threads {
		p, err := newPlayer(r.target, i, r.o.Threads, c, made, seed)
		if err != nil {
			return err
		}
		r.players = append(r.players, p)
	}
	return nil
}

// pieceEvents are played from one look at the memory to the next.
const pieceEvents = 512

// piece has all players play some events, and then looks at the memory.
func (r *session) piece(ctx context.Context, events []trace.Event) error {
	errs := make([]error, len(r.players))
	var wg sync.WaitGroup
	for i, p := range r.players[1:] {
		wg.Go(func() { errs[i+1] = p.play(ctx, events) })
	}
	errs[0] = r.players[0].play(ctx, events)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.tally.add(events)
	m, err := r.target.memory()
	if err != nil {
		return err
	}
	r.samples = append(r.samples, Sample{At: events[len(events)-1].At.Seconds(), Memory: m})
	return nil
}

// blocks returns what gives the trace block by block: read when asked for, or, at the recorded speed, ahead of time.
func (r *session) blocks() (next func() ([]trace.Event, error), stop func()) {
	if !r.o.Recorded {
		return r.trace.Next, func() {}
	}
	type block struct {
		events []trace.Event
		err    error
	}
	ahead, quit, done := make(chan block, 4), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			events, err := r.trace.Next()
			select {
			case ahead <- block{events, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	next = func() ([]trace.Event, error) {
		b := <-ahead
		return b.events, b.err
	}
	return next, func() { close(quit); <-done }
}
