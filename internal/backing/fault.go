package backing

// Op is a call that a file makes to the system.
type Op int

const (
	OpRead Op = iota
	OpWrite
	OpSync
	OpPunch
	OpFree
)

// SetFault is for tests. Every file that is opened before undo is called asks fail, for its whole life, before each call to
// the system, with the bytes that it is about; an error makes the call fail with it. fail may sleep, and change what is to
// be written. A write that fails has done half of its work. What a read has read is shown to damage, if that is not nil, which may change it. Both may be called concurrently.
func SetFault(fail func(op Op, off, n int64) error, damage func(off int64, b []byte)) (undo func()) {
	wrap = func(d disk) disk { return &faulty{d, fail, damage} }
	return func() { wrap = plain }
}

// wrap stands between each file and the system.
var wrap = plain

func plain(d disk) disk { return d }

type faulty struct {
	d      disk
	fail   func(op Op, off, n int64) error
	damage func(off int64, b []byte)
}

func (f *faulty) readAt(b []byte, off int64) error {
	if err := f.fail(OpRead, off, int64(len(b))); err != nil {
		return err
	}
	err := f.d.readAt(b, off)
	if err == nil && f.damage != nil {
		f.damage(off, b)
	}
	return err
}

func (f *faulty) writeAt(b []byte, off int64) error {
	err := f.fail(OpWrite, off, int64(len(b)))
	if err == nil {
		return f.d.writeAt(b, off)
	}
	if half := len(b) / 2 / maxBlock * maxBlock; half > 0 {
		_ = f.d.writeAt(b[:half], off)
	}
	return err
}

func (f *faulty) sync() error {
	if err := f.fail(OpSync, 0, 0); err != nil {
		return err
	}
	return f.d.sync()
}

func (f *faulty) punch(off, n int64) error {
	if err := f.fail(OpPunch, off, n); err != nil {
		return err
	}
	return f.d.punch(off, n)
}

func (f *faulty) free() (int64, error) {
	if err := f.fail(OpFree, 0, 0); err != nil {
		return 0, err
	}
	return f.d.free()
}
