package backing

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

// TestFile writes, reads, frees, cleans, sweeps and reopens at random.
func TestFile(t *testing.T) {
	r := newRand(t)
	w := newOwnerIn(t, t.TempDir(), Options{Bytes: 12 * ExtentBytes})
	full, cleaned := 0, 0
	for range 150 {
		switch r.IntN(8) {
		case 0, 1, 2:
			_, err := w.write(r, r.Int64N(3*ExtentBytes))
			if errors.Is(err, ErrFull) {
				full++
				for p := range w.has {
					if r.IntN(3) > 0 {
						w.drop(p)
					}
				}
			} else {
				noErr(t, err)
			}
		case 3, 4:
			for p := range w.has {
				if p.extent()%3 == r.IntN(3) && r.IntN(8) > 0 {
					w.drop(p)
				}
			}
		case 5:
			w.reopen()
		case 6:
			if w.clean(75) {
				cleaned++
			}
		case 7:
			_, err := w.f.Sweep(r.IntN(3))
			noErr(t, err)
		}
		w.check()
	}
	w.readAll()
	if full == 0 || cleaned == 0 {
		t.Errorf("%d times full, %d extents cleaned: the test did not test", full, cleaned)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	w := newOwner(t, Options{})
	_, err := w.write(newRand(t), ExtentBytes)
	noErr(t, err)
	for p, x := range w.has {
		if n := testing.AllocsPerRun(20, func() {
			noErr(t, w.f.Read(p, func(o Object, b []byte) error { return nil }))
		}); n != 0 {
			t.Fatalf("%v allocations to read %d bytes", n, len(x.bytes))
		}
		break
	}
}

// A file that is shorter than it was, another one, or none.
func TestAdoptWhatIsNotWhole(t *testing.T) {
	r := newRand(t)
	for name, c := range map[string]struct {
		file func(w *owner) *os.File
		want error
	}{
		"none":    {func(*owner) *os.File { return nil }, ErrForeign},
		"another": {func(w *owner) *os.File { f, err := Create(w.path + "2"); noErr(t, err); return f }, ErrForeign},
		"a folder": {func(w *owner) *os.File {
			f, err := os.Open(filepath.Dir(w.path))
			noErr(t, err)
			return f
		}, ErrForeign},
		"damaged state": {func(w *owner) *os.File {
			w.f.state.word(wordKey + 1).Add(1)
			f, err := os.OpenFile(w.path, os.O_RDWR, 0)
			noErr(t, err)
			return f
		}, ErrState},
	} {
		w := newOwner(t, Options{Bytes: 600 * ExtentBytes})
		_, err := w.write(r, 5*ExtentBytes)
		noErr(t, err)
		noErr(t, w.f.Close())
		f, err := Adopt(w.a, 0, c.file(w), Limits{})
		if !errors.Is(err, c.want) || f != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f, err := Adopt(w.a, 0, nil, Limits{}); f != nil || !errors.Is(err, ErrNone) {
			t.Errorf("%s: and again: %v", name, err)
		}
		clear(w.has)
		file, err := Create(w.path)
		noErr(t, err)
		w.f, err = New(w.a, 0, file, w.o)
		noErr(t, err)
	}
}

func TestShortFile(t *testing.T) {
	w := newOwner(t, Options{})
	_, err := w.write(newRand(t), 5*ExtentBytes)
	noErr(t, err)
	noErr(t, os.Truncate(w.path, 2*ExtentBytes+3*maxBlock))
	lost := 0
	for p, x := range w.has { // while it is open
		if err := w.read(p, x); errors.Is(err, ErrRead) || errors.Is(err, ErrDamaged) {
			lost++
		} else {
			noErr(t, err)
		}
	}
	if lost == 0 {
		t.Error("nothing is missing")
	}
	for p := range w.has {
		if p.extent() >= 2 {
			w.drop(p)
		}
	}
	w.reopen()
	w.readAll()
	if n := w.f.Bytes(); n != 2*ExtentBytes {
		t.Errorf("%d bytes are used", n)
	}
}

// A successor gives back to the file system what its predecessor had no time for.
func TestSweepAfterRestart(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{Bytes: 16 * ExtentBytes})
	_, err := w.write(r, 4*ExtentBytes)
	noErr(t, err)
	for p := range w.has {
		w.drop(p)
	}
	w.reopen()
	if swept, err := w.f.Sweep(100); swept < 3 || err != nil {
		t.Errorf("%d extents swept, %v", swept, err)
	}
	if swept, err := w.f.Sweep(100); swept != 0 || err != nil {
		t.Errorf("%d extents swept again, %v", swept, err)
	}
	var st unix.Stat_t
	if noErr(t, unix.Fstat(int(w.f.File().Fd()), &st)); st.Blocks*512 > ExtentBytes {
		t.Errorf("the file takes %d bytes", st.Blocks*512)
	}
}

// When the file system has no more to give, the file goes on in what it has, as far as that is free, and leaves the cleaner its share.
func TestNoSpaceForNewExtents(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{Bytes: 16 * ExtentBytes})
	_, err := w.write(r, 6*ExtentBytes)
	noErr(t, err)
	for p := range w.has {
		w.drop(p)
	}
	w.f.SetLimits(Limits{MinFree: 1 << 60})
	for err == nil {
		_, err = w.write(r, ExtentBytes/2)
	}
	last, n := 0, int64(0)
	for p := range w.has {
		last, n = max(last, p.extent()), n+p.Bytes()
	}
	if !errors.Is(err, ErrNoSpace) || n < 2*ExtentBytes || last > 6 {
		t.Errorf("%d bytes written again, up to extent %d: %v", n, last, err)
	}
	b, err := w.f.Begin(ExtentBytes, true)
	noErr(t, err)
	b.Drop()
	for p := range w.has {
		if p.extent() == last {
			w.drop(p)
		}
	}
	_, err = w.write(r, ExtentBytes/2)
	noErr(t, err) // at once
	w.f.SetLimits(Limits{})
	_, err = w.write(r, 2*ExtentBytes)
	noErr(t, err)
	w.readAll()
}

// However short a file has become, what the state took for all of its extents is given back; and what could not be, when the next file
// comes.
func TestStateGivesBackItsTable(t *testing.T) {
	fails := false
	undo := arena.SetFault(func(op arena.Op, _, _ int64) error {
		if fails && op == arena.OpRelease {
			return unix.ENOMEM
		}
		return nil
	})
	defer undo()
	w := newOwner(t, Options{Bytes: 2000 * ExtentBytes})
	another := func() {
		f, err := Create(w.path)
		noErr(t, err)
		w.f, err = New(w.a, 0, f, w.o)
		noErr(t, err)
		if n, want := w.a.Budget().Used(), arena.FrameSize+tableBytes(2000); n != want {
			t.Fatalf("the state takes %d bytes, want %d", n, want)
		}
	}
	for _, size := range []int64{700 * ExtentBytes, maxBlock} {
		noErr(t, os.Truncate(w.path, size))
		w.reopen()
		noErr(t, w.f.Remove())
		if n := w.a.Budget().Used(); n != arena.FrameSize {
			t.Errorf("cut to %d bytes, and removed: %d bytes are left", size, n)
		}
		another()
	}
	fails = true
	if err := w.f.Remove(); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("a release that fails: %v", err)
	}
	fails = false
	another()
}

// A descriptor that the system does not tell about costs nothing: with a good one it goes on.
func TestAdoptAgainAfterAnError(t *testing.T) {
	w := newOwner(t, Options{})
	_, err := w.write(newRand(t), 2*ExtentBytes)
	noErr(t, err)
	good, err := os.OpenFile(w.path, os.O_RDWR, 0)
	noErr(t, err)
	noErr(t, w.f.Close())
	bad, err := os.Open(w.path)
	noErr(t, err)
	noErr(t, bad.Close())
	if _, err := Adopt(w.a, 0, bad, w.o.Limits); !errors.Is(err, unix.EBADF) || errors.Is(err, ErrForeign) {
		t.Errorf("a bad descriptor: %v", err)
	}
	w.f, err = Adopt(w.a, 0, good, w.o.Limits)
	noErr(t, err)
	for p, x := range w.has {
		for range x.wanted {
			if !w.f.Claim(p) {
				t.Fatalf("%s is refused", p)
			}
		}
	}
	w.readAll()
}
