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
