package backing

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

var seedFlag = flag.Uint64("seed", 0, "of random tests; 0: another one each time")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// owner is who has objects: what each place of it holds, and how often it wants it.
type owner struct {
	t    testing.TB
	a    *arena.Arena
	f    *File
	path string
	o    Options
	has  map[Place]*thing
	seen map[[2]uint64]bool // nonces: number, unit
}

type thing struct {
	o      Object
	bytes  []byte
	wanted int
}

func newOwner(t testing.TB, o Options) *owner {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "backing") // a disk would take long
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newOwnerIn(t, dir, o)
}

func newOwnerIn(t testing.TB, dir string, o Options) *owner {
	t.Helper()
	a, err := arena.New("backing", Layout(), arena.NewBudget(64<<20))
	noErr(t, err)
	if o.Bytes == 0 {
		o.Bytes = 8 * ExtentBytes
	}
	w := &owner{t: t, a: a, path: filepath.Join(dir, "pages"), o: o, has: map[Place]*thing{}, seen: map[[2]uint64]bool{}}
	f, err := Create(w.path)
	noErr(t, err)
	w.f, err = New(a, 0, f, o)
	noErr(t, err)
	t.Cleanup(func() {
		w.check()
		noErr(t, w.f.Remove())
		noErr(t, a.Release(0, arena.FrameSize))
		if n := a.Budget().Used(); n != 0 {
			t.Errorf("%d bytes are not given back", n)
		}
		noErr(t, a.Close())
	})
	return w
}

func (w *owner) check() {
	w.t.Helper()
	noErr(w.t, w.f.Check(func(visit func(Place)) {
		for p, x := range w.has {
			for range x.wanted {
				visit(p)
			}
		}
	}))
}

// reopen goes on as a successor does: with a copy of the descriptor, or the file opened again.
func (w *owner) reopen() {
	w.t.Helper()
	fd, err := unix.FcntlInt(w.f.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(w.t, err)
	noErr(w.t, w.f.Close())
	w.f, err = Adopt(w.a, 0, os.NewFile(uintptr(fd), "copy"), w.o.Limits)
	noErr(w.t, err)
	for p, x := range w.has {
		for range x.wanted {
			if !w.f.Claim(p) {
				w.t.Fatalf("%s is refused", p)
			}
		}
	}
}

func randomThing(r *rand.Rand) *thing {
	n := r.IntN(4096)
	if r.IntN(20) == 0 {
		n = r.IntN(MaxObject + 1)
	}
	x := &thing{Object{r.Uint32(), r.Uint32(), uint8(r.IntN(256))}, make([]byte, n), 1 + r.IntN(3)}
	copy(x.bytes, noise[r.IntN(len(noise)-n):])
	return x
}

var noise = func() []byte {
	b := make([]byte, 4*MaxObject)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// write writes a batch of random objects of about so many bytes. An error leaves nothing of it.
func (w *owner) write(r *rand.Rand, bytes int64) (n int, err error) {
	b, err := w.f.Begin(bytes, false)
	if err != nil {
		return 0, err
	}
	added := map[Place]*thing{}
	for {
		x := randomThing(r)
		p, ok := b.Add(x.o, x.bytes, x.wanted)
		if !ok {
			break
		}
		nonce := [2]uint64{w.f.turn.open.number, uint64(p.unit())}
		if w.seen[nonce] || added[p] != nil || w.has[p] != nil {
			w.t.Fatalf("%s: the number %v is used again, or the place", p, nonce)
		}
		w.seen[nonce], added[p] = true, x
	}
	err = b.Flush()
	for p, x := range added {
		if w.has[p] = x; err != nil {
			w.drop(p)
		}
	}
	return len(added), err
}

// drop frees an object for all who want it.
func (w *owner) drop(p Place) {
	for range w.has[p].wanted {
		w.f.Free(p)
	}
	delete(w.has, p)
}

// readAll compares all objects.
func (w *owner) readAll() {
	w.t.Helper()
	for p, x := range w.has {
		if err := w.read(p, x); err != nil {
			w.t.Fatalf("%s: %v", p, err)
		}
	}
}

var errWrong = errors.New("not what was written")

func (w *owner) read(p Place, x *thing) error {
	return w.f.Read(p, func(o Object, b []byte) error {
		if o != x.o || !bytes.Equal(b, x.bytes) {
			return errWrong
		}
		return nil
	})
}

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

// clean moves everything out of an extent, as an owner does.
func (w *owner) clean(percent int) bool {
	w.t.Helper()
	extent, ok := w.f.Emptiest(percent, nil)
	if !ok {
		return false
	}
	b, err := w.f.Begin(2*ExtentBytes, true)
	if err != nil {
		w.f.Done(extent, Again)
		return false
	}
	moved := map[Place]Place{}
	noErr(w.t, w.f.Walk(extent, func(o Object, p Place) bool { return w.has[p] != nil && w.has[p].o == o },
		func(o Object, p Place, bytes []byte) error {
			to, ok := b.Add(o, bytes, w.has[p].wanted)
			if !ok {
				return fmt.Errorf("no room for %s", p)
			}
			moved[p] = to
			return nil
		}))
	noErr(w.t, b.Flush())
	for from, to := range moved {
		w.has[to], w.has[from] = w.has[from], &thing{wanted: w.has[from].wanted}
		w.drop(from)
	}
	w.f.Done(extent, Emptied)
	for p := range w.has {
		if p.extent() == extent {
			w.t.Fatalf("%s was left behind", p)
		}
	}
	return true
}

// What the file holds says nothing of what was written.
func TestNothingToReadInTheFile(t *testing.T) {
	w := newOwner(t, Options{})
	secret := []byte("a page of somebody's, in plain words")
	b, err := w.f.Begin(ExtentBytes, false)
	noErr(t, err)
	for i := range 200 {
		x := &thing{Object{Slot: uint32(i)}, bytes.Repeat(secret, 1+i%100), 1}
		p, ok := b.Add(x.o, x.bytes, 1)
		if !ok {
			t.Fatal("no room")
		}
		w.has[p] = x
	}
	noErr(t, b.Flush())
	w.readAll()
	file, err := os.ReadFile(w.path)
	noErr(t, err)
	key := w.f.state.key()
	for _, what := range [][]byte{secret, secret[:8], key[:8], key[24:]} {
		if bytes.Contains(file, what) {
			t.Errorf("%q is in the file", what)
		}
	}
	if !bytes.HasPrefix(file, []byte(mark)) {
		t.Error("the file does not say what it is")
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

// Objects of other slots, places, keys and times do not open.
func TestSealedForOnePlace(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{})
	_, err := w.write(r, 2*ExtentBytes)
	noErr(t, err)
	key, s := w.f.state.key(), sealer{}
	s.gcm = newCipher(key[:])
	for p := range w.has {
		whole := make([]byte, p.Bytes())
		from := make([]byte, ExtentBytes)
		b := aligned(ExtentBytes)
		noErr(t, w.f.disk.readAt(b, int64(p.extent())*ExtentBytes))
		copy(from, b)
		number := w.f.state.number(p.extent()).Load()
		try := func(what string, number uint64, p Place, change func(b []byte), want bool) {
			t.Helper()
			copy(whole, from[p.unit()*Unit:])
			change(whole)
			if _, _, ok := s.open(whole, number, p); ok != want {
				t.Errorf("%s opens: %t", what, ok)
			}
		}
		same := func([]byte) {}
		try("the object", number, p, same, true)
		try("under another number", number+1, p, same, false)
		try("as another length", number, p, func(b []byte) { b[8] ^= 1 }, false)
		try("as another slot's", number, p, func(b []byte) { b[0] ^= 1 }, false)
		try("as another codec's", number, p, func(b []byte) { b[14] ^= 1 }, false)
		moved := newPlace(p.position()-extentUnits, p.Units())
		copy(whole, from[p.unit()*Unit:])
		if _, _, ok := s.open(whole, number, moved); ok {
			t.Error("at another place opens")
		}
	}
}

// Each bit of a file matters to the object that it is in, and to no other.
func TestDamagedBits(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{})
	_, err := w.write(r, 3*ExtentBytes)
	noErr(t, err)
	file, err := os.OpenFile(w.path, os.O_RDWR, 0)
	noErr(t, err)
	defer file.Close()
	damaged := 0
	for p, x := range w.has {
		at := p.position()*Unit + r.Int64N(p.Bytes())
		var b [1]byte
		_, err := file.ReadAt(b[:], at)
		noErr(t, err)
		b[0] ^= 1 << r.IntN(8)
		_, err = file.WriteAt(b[:], at)
		noErr(t, err)
		noErr(t, file.Sync())
		err = w.read(p, x)
		padding := at-p.position()*Unit >= int64(headerSize+len(x.bytes)+tagSize)
		if errors.Is(err, errWrong) || padding != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s, a bit of its byte %d of %d: %v", p, at-p.position()*Unit, len(x.bytes), err)
		}
		b[0] = 0
		if damaged++; damaged == 300 {
			break
		}
		for range 3 { // the neighbours
			for q, y := range w.has {
				if err := w.read(q, y); err != nil && !errors.Is(err, ErrDamaged) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if uint64(damaged) > w.f.Stats().Damaged*2 {
		t.Errorf("%d damaged, %d counted", damaged, w.f.Stats().Damaged)
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

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	other, ours := filepath.Join(dir, "letters"), filepath.Join(dir, "pages")
	noErr(t, os.WriteFile(other, []byte("dear"), 0o600))
	if _, err := Create(other); err == nil {
		t.Error("a file of somebody's was taken")
	}
	if b, _ := os.ReadFile(other); string(b) != "dear" {
		t.Error("and written to")
	}
	noErr(t, os.WriteFile(other, append(make([]byte, 64<<10), "_BHRfS_M"...), 0o600)) // as btrfs begins, more or less
	if _, err := Create(other); err == nil {
		t.Error("a file system that leaves its first 64 KiB empty was taken")
	}
	f, err := Create(ours)
	noErr(t, err)
	if _, err := Create(ours); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a file in use: %v", err)
	}
	noErr(t, f.Close())
	f, err = Create(ours) // a dead process's
	noErr(t, err)
	noErr(t, f.Close())
	f, err = Create(dir)
	noErr(t, err)
	defer f.Close()
	var st unix.Stat_t
	noErr(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 {
		t.Error("the file in a folder has a name")
	}
	if _, err := Create("/dev/null"); err == nil {
		t.Error("/dev/null was taken")
	}
}
