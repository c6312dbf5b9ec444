//go:build invariants

package zpool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/internal/invariant"
)

// scene is a pool that compaction has something to do in: pages of one size class in slots 0 to sceneSlots-1, of which
// two thirds were invalidated.
type scene struct {
	dir  string // of the backing file
	p    *Pool
	sort uint64 // of pages, as crashPage has them

	mu   sync.Mutex
	want [sceneSlots][]stored // what a slot may hold
}

// stored is a content that somebody stored, 0 for none, or is storing.
type stored struct {
	content uint64
	done    bool
}

const (
	sceneSlots = 40
	victimSlot = 3 // whose page somebody works on
	otherSlot  = 6
	emptySlot  = 1
)

var sceneOptions = Options{Slots: 1000, MaxBytes: MinBytes, Compressor: "lz4", RecompressCodec: "s2"}

// Scenes: with something to compact; with idle pages that are worth packing; with clusters of them. The others have a backing
// file: with some clusters, and nothing written; with all pages written, to an extent with little else in it.
const (
	sparse  = "sparse"
	idle    = "idle"
	cold    = "cold"
	filed   = "filed"
	written = "written"
)

func newScene(t *testing.T, kind string) *scene {
	t.Helper()
	p, err := New(sceneOptions)
	noErr(t, err)
	p.tiers.hotAge.Store(1) // whoever loads a cold page twice makes it hot
	s := &scene{p: p, sort: 1, dir: sceneDir(t)}
	if kind == sparse {
		s.sort = sortLong
	}
	w := p.NewWorker()
	for slot := range uint64(sceneSlots) {
		s.want[slot] = []stored{{0, true}}
		noErr(t, s.store(w, slot, slot+1))
	}
	for slot := range uint64(sceneSlots) {
		if slot%3 != 0 {
			noErr(t, s.store(w, slot, 0))
		}
	}
	p.Tick()
	if kind != sparse && kind != idle {
		noErr(t, s.pack())
		if p.Stats().Clusters < 3 {
			t.Fatal("no clusters")
		}
	}
	if kind == filed || kind == written {
		for _, slot := range []uint64{30, 33} { // not all is in clusters
			noErr(t, s.store(w, slot, 50+slot))
		}
		p.Tick()
		noErr(t, p.AddBacking(BackingOptions{Path: s.dir, Bytes: 6 << 20}))
		p.writeback.hotAge.Store(1)
	}
	if kind == written {
		noErr(t, s.writeBack())
		if p.Stats().WrittenPages < 10 {
			t.Fatal("nothing was written")
		}
		noErr(t, s.fillExtent())
	}
	return s
}

func sceneDir(t *testing.T) string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return t.TempDir()
}

// writeBack writes all that is idle.
func (s *scene) writeBack() error {
	if _, _, err := s.p.WriteBack(1, 1, 1<<20); !errors.Is(err, backing.ErrNone) {
		return err
	}
	return nil
}

// fillExtent writes what nobody wants to the rest of the extent.
func (s *scene) fillExtent() error {
	f, junk := s.p.writeback.file.Load(), make([]byte, PageSize)
	b, err := f.Begin(2<<20, false)
	if err != nil {
		return err
	}
	for range backing.ExtentBytes / PageSize {
		place, ok := b.Add(backing.Object{}, junk, 1)
		if !ok {
			return errors.New("no room for junk")
		}
		f.Free(place)
	}
	return b.Flush()
}

// pack packs all that is idle.
func (s *scene) pack() error {
	for more := true; more; {
		var err error
		if _, more, err = s.p.Recompress(0, 8); err != nil {
			return err
		}
	}
	return nil
}

// makePage makes a page, in a sparse scene of the class of zspages of 15 frames.
func (s *scene) makePage(page []byte, content uint64) {
	crashPage(page, content<<12|s.sort<<8)
	if content == 0 {
		clear(page)
	}
}

// store stores a page, or nothing for content 0, over what others have stored before. Whoever stores at the same time may
// win.
func (s *scene) store(w *Worker, slot, content uint64) (err error) {
	s.mu.Lock()
	var before []uint64
	for _, old := range s.want[slot] {
		if old.done {
			before = append(before, old.content)
		}
	}
	s.want[slot] = append(s.want[slot], stored{content, false})
	s.mu.Unlock()
	page := make([]byte, PageSize)
	if s.makePage(page, content); content == 0 {
		err = w.Invalidate(slot, 1)
	} else {
		err = w.Store(slot, page)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want[slot] = slices.DeleteFunc(s.want[slot], func(old stored) bool {
		return old.content == content || slices.Contains(before, old.content)
	})
	s.want[slot] = append(s.want[slot], stored{content, true})
	return err
}

// may returns what a slot may hold now.
func (s *scene) may(slot uint64) []stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.want[slot])
}

// load compares the page of a slot with what it may have held while it was loaded.
func (s *scene) load(w *Worker, slot uint64) error {
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	may := s.may(slot)
	if err := w.Load(slot, got); err != nil {
		return err
	}
	may = append(may, s.may(slot)...)
	for _, m := range may {
		if s.makePage(page, m.content); bytes.Equal(page, got) {
			return nil
		}
	}
	return fmt.Errorf("slot %d holds none of %v", slot, may)
}

func (s *scene) check(p *Pool) error {
	w := p.NewWorker()
	for slot := range uint64(sceneSlots) {
		if err := s.load(w, slot); err != nil {
			return err
		}
	}
	return p.Check()
}

// die opens a copy of the store as it is now, as the next process would find it, and compares every page.
func (s *scene) die() error {
	a, err := arena.New("copy", s.p.a.Size(), arena.NewBudget(s.p.a.Budget().Limit()))
	if err != nil {
		return err
	}
	err = s.p.a.Resident(0, a.Size(), func(off, n int64) {
		for end := off + n; off < end; off += arena.FrameSize {
			if e := a.Commit(off, arena.FrameSize); e != nil {
				panic(e)
			}
			copy(a.Bytes(off, arena.FrameSize), s.p.a.Bytes(off, arena.FrameSize))
		}
	})
	if err != nil {
		return err
	}
	o := sceneOptions
	if f := s.p.Backing(); f != nil {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		o.Backing = os.NewFile(uintptr(fd), "copy")
	}
	p, rec, err := openIn(a, o)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	if rec.Lost != 0 || rec.Backing != nil {
		err = fmt.Errorf("lost: %+v", rec)
	}
	if err := errors.Join(err, s.check(p), p.Close()); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	return nil
}

// The things that one does while another stands still: users, compaction, and the kill.
var acts = map[string]func(s *scene, w *Worker) error{
	"load it":       func(s *scene, w *Worker) error { return s.load(w, victimSlot) },
	"store over it": func(s *scene, w *Worker) error { return s.store(w, victimSlot, 100) },
	"invalidate it": func(s *scene, w *Worker) error { return s.store(w, victimSlot, 0) },
	"load it twice": func(s *scene, w *Worker) error {
		return errors.Join(s.load(w, victimSlot), s.load(w, victimSlot))
	},
	"pack": func(s *scene, w *Worker) error { return s.pack() },
	"thin out and pack": func(s *scene, w *Worker) (err error) {
		for _, slot := range []uint64{0, 6, 9} { // of the first cluster, nearly all
			err = errors.Join(err, s.store(w, slot, 0))
		}
		s.p.Tick()
		return errors.Join(err, s.pack())
	},
	"replace all and pack": func(s *scene, w *Worker) (err error) { // the first cluster's handle is then that of another there
		for slot := sceneSlots - sceneSlots%3; slot >= 0; slot -= 3 {
			err = errors.Join(err, s.store(w, uint64(slot), 300+uint64(slot)))
		}
		s.p.Tick()
		return errors.Join(err, s.pack())
	},
	"write back": func(s *scene, w *Worker) error { return s.writeBack() },
	"clean": func(s *scene, w *Worker) error {
		if _, _, err := s.p.CleanBacking(); !errors.Is(err, backing.ErrNone) {
			return err
		}
		return nil
	},
	"remove the file": func(s *scene, w *Worker) error {
		if err := s.p.RemoveBacking(false); err != errNoBacking {
			return err
		}
		return nil
	},
	"replace the file": func(s *scene, w *Worker) error { // what is freed late is not of the new one
		if err := s.p.RemoveBacking(false); err == errNoBacking {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.p.AddBacking(BackingOptions{Path: s.dir, Bytes: 6 << 20}); err != nil {
			return err
		}
		s.p.Tick()
		return s.writeBack()
	},
	"load another":     func(s *scene, w *Worker) error { return s.load(w, otherSlot) },
	"store another":    func(s *scene, w *Worker) error { return s.store(w, otherSlot, 101) },
	"store a new page": func(s *scene, w *Worker) error { return s.store(w, emptySlot, 102) },
	"load all": func(s *scene, w *Worker) (err error) {
		for slot := range uint64(sceneSlots) {
			err = errors.Join(err, s.load(w, slot))
		}
		return err
	},
	"store all": func(s *scene, w *Worker) (err error) {
		for slot := range uint64(sceneSlots) {
			err = errors.Join(err, s.store(w, slot, 200+slot))
		}
		return err
	},
	"compact": func(s *scene, w *Worker) error {
		for more := true; more; {
			_, more = s.p.Compact(1 << 20)
		}
		return nil
	},
}

// steps returns the steps that an act comes by at when nobody disturbs it, each once.
func steps(t *testing.T, kind, act string) (names []string) {
	t.Helper()
	s := newScene(t, kind)
	defer s.p.Close()
	invariant.OnStep(func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	})
	noErr(t, acts[act](s, s.p.NewWorker()))
	invariant.OnStep(nil)
	return names
}

// interleave stops the first act at a step, has the second done meanwhile, or begun if it must wait, and lets the first go
// on; or it lets the process die there.
func interleave(t *testing.T, kind, first, at, second string) error {
	s := newScene(t, kind)
	defer s.p.Close()
	one, other := s.p.NewWorker(), s.p.NewWorker()
	var reached atomic.Bool
	done := make(chan struct{})
	var err error
	invariant.OnStep(func(name string) {
		if name != at || !reached.CompareAndSwap(false, true) {
			return
		}
		if second == "die" {
			err = s.die()
			close(done)
			return
		}
		patience := 2 * time.Millisecond
		if second == "replace the file" {
			patience = 100 * time.Millisecond
		}
		go func() { err = acts[second](s, other); close(done) }()
		select {
		case <-done:
		case <-time.After(patience): // it waits, as it should, or is slow
		}
	})
	e := acts[first](s, one)
	if !reached.Load() {
		return fmt.Errorf("never reached")
	}
	<-done
	invariant.OnStep(nil)
	return errors.Join(e, err, s.check(s.p))
}

// TestInterleaved stops a user, compaction, or recompression, at each of the steps that they come by at, while somebody else
// loads, stores, invalidates, compacts or packs, or the process dies.
func TestInterleaved(t *testing.T) {
	for kind, firsts := range map[string][]string{
		sparse:  {"compact", "load it", "store over it", "invalidate it", "store a new page"},
		idle:    {"pack"},
		cold:    {"load it twice", "store over it", "invalidate it", "thin out and pack"},
		filed:   {"write back"},
		written: {"load it twice", "store over it", "invalidate it", "clean", "remove the file"},
	} {
		for _, first := range firsts {
			names := steps(t, kind, first)
			t.Logf("%s, %s: %s", kind, first, strings.Join(names, ", "))
			for _, at := range names {
				for _, second := range append(slices.Collect(maps.Keys(acts)), "die") {
					if err := interleave(t, kind, first, at, second); err != nil {
						t.Errorf("%s, %s, at %q: %s: %v", kind, first, at, second, err)
					}
				}
			}
		}
	}
}

// The same test finds a wrong migration.
func TestInterleavedFindsMutants(t *testing.T) {
	defer func() { invariant.Mutant = "" }()
	for mutant, at := range map[string]string{
		"publish before copy": "migrate: published",
		"free before publish": "mutant: freed early",
	} {
		invariant.Mutant = mutant
		if err := interleave(t, sparse, "compact", at, "die"); err == nil || !strings.Contains(err.Error(), "after a kill: slot") || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", mutant, err)
		}
	}
}
