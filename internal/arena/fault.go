package arena

import "os"

// Op is a call that an arena makes to the system.
type Op int

const (
	OpCommit Op = iota
	OpRelease
	OpResident
)

// SetFault is for tests. Every arena that is made or opened before undo is called asks fail, for its whole life, before
// each call to the system; an error makes the call fail with it. A commit that fails has done half of its work, as the
// system's may have; the others have done nothing. fail may be called concurrently. No arena may be made meanwhile.
func SetFault(fail func(op Op, off, n int64) error) (undo func()) {
	wrap = func(m memory) memory { return &faulty{m, fail} }
	return func() { wrap = plain }
}

// wrap stands between each new arena and its memory.
var wrap = plain

func plain(m memory) memory { return m }

// faulty is memory of which a test makes calls fail.
type faulty struct {
	m    memory
	fail func(op Op, off, n int64) error
}

func (f *faulty) commit(off, n int64) error {
	err := f.fail(OpCommit, off, n)
	if err == nil {
		return f.m.commit(off, n)
	}
	if half := n / 2 / FrameSize * FrameSize; half > 0 {
		_ = f.m.commit(off, half)
	}
	return err
}

func (f *faulty) release(off, n int64) error {
	if err := f.fail(OpRelease, off, n); err != nil {
		return err
	}
	return f.m.release(off, n)
}

func (f *faulty) resident(off, n int64, visit func(off, n int64)) error {
	if err := f.fail(OpResident, off, n); err != nil {
		return err
	}
	return f.m.resident(off, n, visit)
}

func (f *faulty) mapTables() error { return f.m.mapTables() }

func (f *faulty) file() *os.File { return f.m.file() }
func (f *faulty) close() error   { return f.m.close() }
