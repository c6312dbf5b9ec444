package backing

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each call to the disk fails in turn, for one time or for seven: what was acknowledged is read back, what was not leaves
// nothing behind, and after the wait all works again.
func TestFaults(t *testing.T) {
	r := newRand(t)
	for op, name := range []string{"read", "write", "sync", "punch", "free"} {
		for _, row := range []int{1, 7} {
			t.Run(fmt.Sprintf("%s,%d", name, row), func(t *testing.T) {
				for first, failed := 0, true; failed && !t.Failed(); first += row {
					calls, fails := 0, 0
					var mu sync.Mutex
					undo := SetFault(func(o Op, _, _ int64) error {
						mu.Lock()
						defer mu.Unlock()
						if o != Op(op) {
							return nil
						}
						if calls++; calls <= first || calls > first+row {
							return nil
						}
						fails++
						return []error{unix.EIO, unix.ENOSPC, unix.EIO, unix.EIO, unix.EIO}[op]
					}, nil)
					defer undo()
					w := newOwner(t, Options{Bytes: 10 * ExtentBytes})
					now := time.Now()
					w.f.now = func() time.Time { return now }
					refused := 0
					for step := range 12 {
						before := w.f.Stats()
						if _, first := w.write(r, 1+r.Int64N(2*ExtentBytes)); first != nil {
							refused++
							if after := w.f.Stats(); after.WrittenBytes != before.WrittenBytes || after.LiveBytes != before.LiveBytes {
								t.Fatalf("a batch that failed: before %+v, after %+v", before, after)
							}
							if _, err := w.write(r, ExtentBytes); errors.Is(err, ErrBackOff) {
								now = now.Add(backOffMax)
							} else if errors.Is(first, unix.EIO) || errors.Is(first, unix.ENOSPC) {
								t.Fatalf("no wait after a failure: %v", err)
							}
						}
						for p := range w.has {
							if r.IntN(2) == 0 {
								w.drop(p)
							}
						}
						if step%4 == 3 {
							_, _ = w.f.Sweep(2)
							if w.cleanOrNot() != nil {
								refused++
							}
						}
						for p, x := range w.has {
							if err := w.read(p, x); err != nil && (!errors.Is(err, ErrRead) || op != int(OpRead)) {
								t.Fatalf("%s: %v", p, err)
							}
							break
						}
						w.check()
					}
					failed = fails > 0
					calls = 1 << 30
					w.readAll()
					if failed && refused == 0 && (op == int(OpWrite) || op == int(OpSync)) {
						t.Errorf("%d calls failed, and nobody was told", fails)
					}
				}
			})
		}
	}
}

// cleanOrNot is clean that may fail.
func (w *owner) cleanOrNot() (err error) {
	extent, ok := w.f.Emptiest(80, nil)
	if !ok {
		return nil
	}
	b, err := w.f.Begin(2*ExtentBytes, true)
	if err != nil {
		w.f.Done(extent, Again)
		return err
	}
	moved := map[Place]Place{}
	err = w.f.Walk(extent, func(o Object, p Place) bool { return w.has[p] != nil && w.has[p].o == o },
		func(o Object, p Place, bytes []byte) error {
			to, ok := b.Add(o, bytes, w.has[p].wanted)
			if !ok {
				return ErrFull
			}
			moved[p] = to
			return nil
		})
	if err != nil {
		b.Drop()
	} else {
		err = b.Flush()
	}
	for from, to := range moved {
		old := from
		if w.has[to] = w.has[from]; err != nil {
			old = to
		}
		w.drop(old)
	}
	w.f.Done(extent, Again)
	return err
}

// A disk that is full, and a file system that keeps some space.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	r, dir := newRand(t), t.TempDir()
	noErr(t, unix.Mount("none", dir, "tmpfs", 0, "size=6M"))
	defer unix.Unmount(dir, unix.MNT_DETACH)
	w := newOwner(t, Options{})
	noErr(t, w.f.Remove())
	f, err := Create(dir)
	noErr(t, err)
	w.o.Bytes = 32 * ExtentBytes
	w.f, err = New(w.a, 0, f, w.o)
	noErr(t, err)
	now := time.Now()
	w.f.now = func() time.Time { return now }
	var refused error
	for n := 0; refused == nil && n < 100; n++ {
		if _, refused = w.write(r, ExtentBytes); errors.Is(refused, ErrBackOff) {
			now, refused = now.Add(backOffMax), nil
		}
	}
	if !errors.Is(refused, ErrNoSpace) && !errors.Is(refused, unix.ENOSPC) { // the file system takes some itself
		t.Errorf("full: %v", refused)
	}
	if free, _ := w.f.disk.free(); free > 2*ExtentBytes {
		t.Errorf("refused with %d bytes free", free)
	}
	w.readAll()
	for p := range w.has {
		w.drop(p)
	}
	now = now.Add(backOffMax)
	w.f.SetLimits(Limits{MinFree: 3 * ExtentBytes})
	_, err = w.f.Sweep(100)
	noErr(t, err)
	for refused = nil; refused == nil; {
		if _, refused = w.write(r, ExtentBytes); errors.Is(refused, ErrBackOff) {
			now, refused = now.Add(backOffMax), nil
		}
	}
	if free, _ := w.f.disk.free(); !errors.Is(refused, ErrNoSpace) || free < 2*ExtentBytes {
		t.Errorf("%d bytes free: %v", free, refused)
	}
	w.readAll()
}
