package trace

import "time"

// run moves events from the ring to the file until it is told to stop, or the file fails.
func (r *Recorder) run() {
	err := r.follow()
	if err == nil {
		err = r.finish()
	}
	r.off.Store(true)
	r.done <- err
}

func (r *Recorder) follow() error {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	flushed := time.Now()
	for {
		if _, err := r.drain(); err != nil {
			return err
		}
		if time.Since(flushed) >= flushEvery {
			if err := r.writer.Flush(); err != nil {
				return err
			}
			r.written, flushed = r.stats, time.Now()
		}
		select {
		case <-r.stop:
			return nil
		case <-tick.C:
		}
	}
}

// finish writes what is still in the ring. A thread that was about to put something there has moments to do so; nobody
// waits longer for one that may have died in between.
func (r *Recorder) finish() error {
	for end := time.Now().Add(time.Second); ; time.Sleep(idle) {
		if _, err := r.drain(); err != nil {
			return err
		}
		if r.ring.empty() || time.Now().After(end) {
			return r.end()
		}
	}
}

// drain writes what is ready, and returns how many events that were. It gives back each event at once.
func (r *Recorder) drain() (n int, err error) {
	for c := r.ring.next(); c != nil; c = r.ring.next() {
		if err := r.gap(c.at, c.lost); err != nil {
			return n, err
		}
		e, pages := Event{Op: c.op, At: c.at, First: c.first, Count: c.n}, uint32(0)
		if c.op == Store {
			pages = uint32(c.n)
			r.refs = r.refs[:0]
			for i := range pages {
				r.refs = append(r.refs, r.ring.page(c.page+i))
			}
			e.Pages = r.refs
		}
		r.writer.hurry = r.ring.used() > hurryFrom
		if err := r.write(&e); err != nil {
			return n, err
		}
		r.ring.release(pages)
		n++
	}
	return n, nil
}

func (r *Recorder) gap(at time.Duration, lost Lost) error {
	if lost == (Lost{}) {
		return nil
	}
	return r.write(&Event{Op: Gap, At: at, Lost: lost})
}

// write adds an event to the trace, and counts it. What was counted before is in the file once a block was written.
func (r *Recorder) write(e *Event) error {
	blocks := r.writer.blocks
	err := r.writer.Write(e)
	if r.writer.blocks > blocks {
		r.written = r.stats
	}
	if err == nil {
		r.count(e)
	}
	return err
}

func (r *Recorder) count(e *Event) {
	if e.Op == Gap {
		r.stats.Lost.Add(e.Lost)
		return
	}
	r.stats.Events++
	switch e.Op {
	case Store:
		r.stats.Stored += e.Count
	case Load:
		r.stats.Loaded += e.Count
	case Invalidate:
		r.stats.Invalidated += e.Count
	}
}

// end writes what was dropped last, and the end of the trace.
func (r *Recorder) end() error {
	if err := r.gap(0, r.dropped.take()); err != nil {
		return err
	}
	return r.writer.Close()
}
