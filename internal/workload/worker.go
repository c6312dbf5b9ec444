package workload

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
)

// worker is a thread and its part of the region. Nothing in it allocates per page, failures aside.
type worker struct {
	run      *run
	mem      memory
	first    int64    // number of the part's first page
	versions []uint16 // of the pages; they may come round
	touches  int64    // to do, if the run does not end by the clock
	pattern  pattern
	rand     *rand.Rand
	scratch  []byte
	seen     int64 // mem.faults() after the last touch

	touch, fault histogram.Histogram
	writes       int64
	done         atomic.Int64 // pages or touches of the phase
	failures     atomic.Int64
	failure      *Failure // the first
	refused      error    // ErrRefused
}

func newWorker(r *run, number int64, mem memory, first int64, pages int) *worker {
	random := rand.New(rand.NewPCG(r.config.Seed, uint64(number)))
	touches, threads := r.config.Touches, int64(r.config.Threads)
	return &worker{
		run: r, mem: mem, first: first, versions: make([]uint16, pages), scratch: make([]byte, pageSize),
		touches: touches*(number+1)/threads - touches*number/threads,
		rand:    random, pattern: newPattern(r.config.Mode, random, pages),
	}
}

// fail counts a failure of page i of the part, and returns it to be filled in.
func (w *worker) fail(i int) *Failure {
	w.failures.Add(1)
	f := &Failure{Page: w.first + int64(i), Version: uint64(w.versions[i]), Seed: w.run.config.Seed, Phase: w.run.phase}
	if w.failure == nil {
		w.failure = f
	}
	return f
}

// lack notes that page i cannot be had: a failure of it, or, if there is no frame for it, the end of the run.
func (w *worker) lack(i int, err error) {
	if !errors.Is(err, ErrRefused) {
		w.fail(i).Reason = err.Error()
		return
	}
	if w.refused == nil {
		w.refused = err
	}
	w.run.stop.Store(true)
}

// caught is deferred where the page may be read, the goroutine having set PanicOnFault: a page that cannot be
// swapped in arrives as SIGBUS.
func (w *worker) caught(i int) {
	switch e := recover().(type) {
	case nil:
	case interface {
		runtime.Error
		Addr() uintptr
	}:
		w.fail(i).Reason = fmt.Sprintf("cannot be swapped in: SIGBUS or SIGSEGV at %#x", e.Addr())
	default:
		panic(e)
	}
}

// make writes what page i of the part must hold to page.
func (w *worker) make(page []byte, i int) {
	version := w.versions[i]
	if w.run.config.Touch == Page {
		w.run.source.Fill(page, uint64(w.first)+uint64(i), uint64(version))
		return
	}
	w.run.source.Fill(page, uint64(w.first)+uint64(i), 0)
	if version != 0 {
		page[0] = byte(version)
	}
}

// fillOne writes version 0 of a page.
func (w *worker) fillOne(i int) {
	defer w.caught(i)
	page, err := w.mem.access(i)
	if err != nil {
		w.lack(i, err)
		return
	}
	w.make(page, i)
	w.mem.written()
}

// touchOne accesses a page and times it, then compares and changes it as the configuration says.
func (w *worker) touchOne(i int) {
	defer w.caught(i)
	whole := w.run.config.Touch == Page
	if whole {
		w.seen = w.mem.faults() // there may have been some since: in the scratch page, the versions, the program
	}
	start := time.Since(epoch)
	page, err := w.mem.access(i)
	took := time.Since(epoch) - start
	w.touch.Observe(took)
	if faults := w.mem.faults(); faults != w.seen {
		w.fault.Observe(took)
		w.seen = faults
	}
	if err != nil {
		w.lack(i, err)
		return
	}
	if whole {
		w.compare(page, i)
	}
	if w.rand.IntN(100) >= w.run.config.Write {
		return
	}
	w.writes++
	w.versions[i]++
	if whole {
		w.make(page, i)
	} else {
		w.versions[i] = max(w.versions[i], 1) // version 0 is the page as it was filled
		page[0] = byte(w.versions[i])
	}
	w.mem.written()
}

// verifyOne compares a page.
func (w *worker) verifyOne(i int) {
	defer w.caught(i)
	page, err := w.mem.access(i)
	if err != nil {
		w.lack(i, err)
		return
	}
	w.compare(page, i)
}

func (w *worker) compare(page []byte, i int) {
	w.make(w.scratch, i)
	if !bytes.Equal(page, w.scratch) {
		w.fail(i).compare(w.scratch, page)
	}
}

var epoch = time.Now()
