package trace

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

const (
	ringEvents = 1 << 16
	ringPages  = 1 << 14                // 64 MiB
	idle       = 2 * time.Millisecond   // between two looks at an empty ring
	hurryFrom  = 1. / 4                 // share of the ring's pages from which on blocks are not compressed
	flushEvery = 500 * time.Millisecond // what a kill costs, at most, beside the ring
)

// Pool is what a thread that serves has of the pool: fuse.Store, and a zpool.Worker.
type Pool interface {
	Load(first uint64, dst []byte) error
	Store(first uint64, src []byte) error
	Invalidate(first, n uint64) error
}

// Recorder records the calls on a device. Threads that serve put them into a ring and never wait, allocate or make a
// system call; what finds no room is dropped and counted. A goroutine writes the file.
type Recorder struct {
	ring    *ring
	began   time.Time
	off     atomic.Bool // nothing more is recorded: closed, or the file failed
	dropped drops

	file    *os.File
	writer  *Writer
	refs    [][]byte // scratch of the goroutine
	stats   Stats    // of the goroutine
	written Stats    // those of what is in whole blocks of the file
	stop    chan struct{}
	done    chan error
}

// drops are what was dropped and is not yet told by a cell.
type drops struct{ events, stored, loaded, invalidated atomic.Uint64 }

// Stats is what became of a recording.
type Stats struct {
	Events                      uint64 // recorded, and in the file
	Stored, Loaded, Invalidated uint64 // pages of those
	Lost                        Lost   // dropped because the writer was too slow
	Bytes                       int64  // of the file
}

// Create begins to record to a new file, which only its owner may read: it holds other programs' memory. There must be
// no file of that name. m.Began is set here.
func Create(path string, m Meta) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	r, err := newRecorder(f, m, ringEvents, ringPages)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return r, nil
}

func newRecorder(f *os.File, m Meta, events, pages int) (*Recorder, error) {
	r := &Recorder{
		ring: newRing(events, pages), file: f, refs: make([][]byte, 0, MaxRun),
		stop: make(chan struct{}), done: make(chan error, 1), began: time.Now(),
	}
	m.Began = r.began
	var err error
	if r.writer, err = NewWriter(f, m); err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

// Wrap returns a pool that does what p does and records it. It is for as many goroutines at a time as p is.
func (r *Recorder) Wrap(p Pool) Pool { return &tap{p, r} }

// Close records nothing more, writes out what there is, and closes the file. Pools that were wrapped go on without us.
// The error is that of the file, perhaps an early one: then the trace is cut off there.
func (r *Recorder) Close() (Stats, error) {
	r.off.Store(true)
	close(r.stop)
	err := <-r.done
	if err != nil {
		lost := r.stats.Lost
		r.stats = r.written
		r.stats.Lost = lost
	}
	r.stats.Bytes = r.writer.Bytes()
	return r.stats, errors.Join(err, r.file.Close())
}

// tap is a pool between a thread that serves and the real one.
type tap struct {
	pool Pool
	r    *Recorder
}

func (t *tap) Load(first uint64, dst []byte) error {
	err := t.pool.Load(first, dst)
	t.r.note(Load, first, uint64(len(dst)/PageSize), nil)
	return err
}

func (t *tap) Store(first uint64, src []byte) error {
	err := t.pool.Store(first, src)
	if err != nil {
		t.r.note(Refused, first, uint64(len(src)/PageSize), nil)
	} else {
		t.r.note(Store, first, uint64(len(src)/PageSize), src)
	}
	return err
}

func (t *tap) Invalidate(first, n uint64) error {
	err := t.pool.Invalidate(first, n)
	if err == nil {
		t.r.note(Invalidate, first, n, nil)
	}
	return err
}

// note records a call that was served, in pieces of MaxRun if it names pages.
func (r *Recorder) note(op Op, first, n uint64, pages []byte) {
	if r.off.Load() {
		return
	}
	at := time.Since(r.began)
	for n > 0 {
		some := n
		if op != Invalidate {
			some = min(n, MaxRun)
		}
		var piece []byte
		if op == Store {
			piece, pages = pages[:some*PageSize], pages[some*PageSize:]
		}
		r.put(op, at, first, some, piece)
		first, n = first+some, n-some
	}
}

func (r *Recorder) put(op Op, at time.Duration, first, n uint64, pages []byte) {
	number, c, ok := r.ring.reserve(uint32(len(pages) / PageSize))
	if !ok {
		r.dropped.add(op, n)
		return
	}
	c.op, c.at, c.first, c.n, c.lost = op, at, first, n, r.dropped.take()
	for i := 0; i < len(pages); i += PageSize {
		copy(r.ring.page(c.page+uint32(i/PageSize)), pages[i:i+PageSize])
	}
	c.ready.Store(number + 1)
}

func (d *drops) add(op Op, n uint64) {
	switch op {
	case Store:
		d.stored.Add(n)
	case Load:
		d.loaded.Add(n)
	case Invalidate:
		d.invalidated.Add(n)
	}
	d.events.Add(1) // last: take looks at it first
}

// take returns what was dropped since the last call, if anything.
func (d *drops) take() (l Lost) {
	if d.events.Load() > 0 {
		l = Lost{d.events.Swap(0), d.stored.Swap(0), d.loaded.Swap(0), d.invalidated.Swap(0)}
	}
	return l
}
