//go:build invariants

package zsmalloc

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/invariant"
)

// The steps between which a migration is stopped.
var migrationSteps = []string{
	"migrate: pinned", "migrate: taken", "migrate: copied", "migrate: published", "migrate: unpinned",
	"object: header cleared", "migrate: source freed",
}

// patience is how long a step waits for what cannot happen in a right version, longPatience for what must in a wrong one.
const patience, longPatience = 10 * time.Millisecond, 20 * time.Second

// meanwhile are the things that somebody does while a migration of his object stands still. Each returns a function
// that is called when the migration is over, and says what went wrong.
var meanwhile = map[string]func(s *stage) func() error{
	"nothing": func(*stage) func() error { return func() error { return nil } },
	"pin": func(s *stage) func() error {
		// Somebody pins. If he has the pin before the migration is over, it must still be his afterwards.
		return s.start(func() error {
			object, _, err := s.p.Pin(s.victim.h)
			if err != nil {
				return err
			}
			close(s.has)
			want := make([]byte, s.victim.size)
			fill(want, s.victim.seed)
			s.wait() // the migration goes on, and ends
			if string(object[:s.victim.size]) != string(want) {
				return errors.New("pinned bytes changed")
			}
			if s.p.handles.word(s.victim.h).Load()&pinBit == 0 {
				return errors.New("a stranger cleared the pin")
			}
			s.p.Unpin(s.victim.h)
			return nil
		})
	},
	"free": func(s *stage) func() error {
		return s.start(func() error {
			err := s.p.Free(s.victim.h)
			s.victim.size = 0
			return err
		})
	},
	"malloc": func(s *stage) func() error {
		return s.start(func() error {
			o, err := put(s.p, 4711, s.victim.size)
			s.others = append(s.others, o)
			return err
		})
	},
	"compact": func(s *stage) func() error {
		return s.start(func() error { s.p.Compact(1 << 20); return nil })
	},
	"die": func(s *stage) func() error {
		// The process is killed here; the next one finds every object.
		err := s.recover()
		return func() error { return err }
	},
}

// stage is a pool in which compaction is about to move one object, the victim.
type stage struct {
	p      *Pool
	o      Options
	victim object
	others []object
	has    chan struct{} // closed when somebody has the pin
	over   chan struct{} // closed when the migration is over

	patience time.Duration
}

func newStage(t *testing.T) *stage {
	s := &stage{o: Options{ChainSize: 8, Handles: 1024, MaxFrames: 64}, has: make(chan struct{}), over: make(chan struct{}), patience: patience}
	a := newArena(t, s.o, 1<<20)
	var err error
	s.p, err = New(a, 0, s.o)
	noErr(t, err)
	for i := range 10 { // two zspages of five
		s.others = append(s.others, mustPut(t, s.p, uint64(i)*0x123456789abcdef, 1620))
	}
	for _, i := range []int{0, 1, 2, 3, 9} { // the first keeps one object, the second has room for it
		noErr(t, s.p.Free(s.others[i].h))
	}
	s.victim = s.others[4]
	s.others = s.others[5:9]
	return s
}

// start runs f beside the migration, until it is over, has the pin, or seems to wait.
func (s *stage) start(f func() error) (end func() error) {
	var err error
	done := make(chan struct{})
	go func() { err = f(); close(done) }()
	select {
	case <-done:
	case <-s.has:
	case <-time.After(s.patience):
	}
	return func() error {
		select {
		case <-done:
			return err
		case <-time.After(longPatience):
			return errors.New("it waits for ever")
		}
	}
}

func (s *stage) wait() { <-s.over }

// recover opens a copy of the arena as it is now, and verifies every object that is not of size 0.
func (s *stage) recover() error {
	a, err := arena.New("copy", s.o.Layout(), arena.NewBudget(1<<20))
	if err != nil {
		return err
	}
	defer a.Close()
	err = s.p.a.Resident(0, s.p.a.Size(), func(off, n int64) {
		for end := off + n; off < end; off += frameSize {
			if e := a.Commit(off, frameSize); e != nil {
				panic(e)
			}
			copy(a.Bytes(off, frameSize), s.p.a.Bytes(off, frameSize))
		}
	})
	if err != nil {
		return err
	}
	r, err := Open(a, 0, s.o)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(append([]object{s.victim}, s.others...), func(o object) bool { return o.size == 0 })
	for _, o := range all {
		if err := r.Adopt(o.h, o.size); err != nil {
			return fmt.Errorf("object %d after a kill: %w", o.h, err)
		}
	}
	p, err := r.Finish()
	if err != nil {
		return err
	}
	defer p.Close()
	for _, o := range all {
		if err := o.verify(p); err != nil {
			return fmt.Errorf("object %d after a kill: %w", o.h, err)
		}
	}
	return p.Check()
}

// act runs one migration, with something happening at one of its steps, and returns what went wrong.
func act(t *testing.T, at, what string) error {
	s := newStage(t)
	if invariant.Mutant != "" {
		s.patience = longPatience
	}
	var reached atomic.Bool
	end := func() error { return fmt.Errorf("step %q was never reached", at) }
	invariant.OnStep(func(name string) {
		if name == at && reached.CompareAndSwap(false, true) {
			end = meanwhile[what](s)
		}
	})
	s.p.Compact(1 << 20)
	invariant.OnStep(nil)
	close(s.over)
	if err := end(); err != nil {
		return err // what is left may hang
	}
	for _, o := range append([]object{s.victim}, s.others...) {
		if o.size == 0 {
			continue
		}
		if s.p.handles.word(o.h).Load()&pinBit != 0 {
			return fmt.Errorf("object %d stays pinned", o.h)
		}
		if err := o.verify(s.p); err != nil {
			return err
		}
	}
	return errors.Join(s.p.Check(), s.p.Close(), s.p.a.Close())
}

// No interleaving with a user, and no kill, at any step of a migration does harm.
func TestMigrationInterleaved(t *testing.T) {
	for _, at := range migrationSteps {
		for what := range meanwhile {
			if err := act(t, at, what); err != nil {
				t.Errorf("%s after %q: %v", what, at, err)
			}
		}
	}
}

// setMutant puts a wrong version in force until the test ends.
func setMutant(t *testing.T, name string) {
	invariant.Mutant = name
	t.Cleanup(func() { invariant.Mutant = "" })
}

// Each wrong version of a migration is caught by one of the same interleavings, and for the right reason.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range []struct{ name, at, what, says string }{
		{"publish without the pin", "migrate: published", "pin", "a stranger cleared the pin"},
		{"publish in two stores", "mutant: half published", "pin", "a stranger cleared the pin"},
		{"publish before copy", "migrate: published", "die", "after a kill: handle names no object"},
		{"free before publish", "mutant: freed early", "die", "after a kill: handle names no object"},
	} {
		t.Run(m.name, func(t *testing.T) {
			setMutant(t, m.name)
			if err := act(t, m.at, m.what); err == nil || !strings.Contains(err.Error(), m.says) {
				t.Errorf("%s after %q: %v, want %q", m.what, m.at, err, m.says)
			}
		})
	}
}

// A handle that is recycled with a stale pin bit is born pinned if publishing keeps the bit.
func TestMutantKeepsTheOldBit(t *testing.T) {
	for _, mutant := range []string{"", "keep the old bit"} {
		setMutant(t, mutant)
		s := newStage(t)
		noErr(t, s.p.Free(s.victim.h))
		s.p.handles.word(s.victim.h).Or(pinBit)
		h, err := s.p.Malloc(100, 1)
		noErr(t, err)
		if pinned := s.p.handles.word(h).Load()&pinBit != 0; pinned != (mutant != "") {
			t.Errorf("mutant %q: pinned at birth: %t", mutant, pinned)
		}
	}
}

// Compaction that only tries a pin ends while a user has it. One that waits for it under the class lock, and the user,
// who wants the lock while he has the pin, wait for each other.
func TestMutantWaitsUnderTheLock(t *testing.T) {
	for _, mutant := range []string{"", "wait under the lock"} {
		setMutant(t, mutant)
		s := newStage(t)
		_, _, err := s.p.Pin(s.victim.h)
		noErr(t, err)
		var waits atomic.Bool
		invariant.OnStep(func(name string) {
			if name == "mutant: waiting" {
				waits.Store(true)
			}
		})
		compacted, allocated := make(chan struct{}), make(chan struct{})
		go func() { s.p.Compact(1 << 20); close(compacted) }()
		if mutant != "" { // it has the lock and waits for the pin; the user waits for the lock
			for !waits.Load() {
				runtime.Gosched()
			}
		} else {
			<-compacted
		}
		go func() { _, _ = put(s.p, 1, s.victim.size); close(allocated) }()
		if c := s.p.classes[s.p.slots[sizeSlot(s.victim.size)]]; mutant != "" {
			for !c.mu.contended() {
				runtime.Gosched()
			}
		} else {
			<-allocated
		}
		s.p.Unpin(s.victim.h) // which he could not, if he waited for the lock himself
		<-allocated
		<-compacted
		invariant.OnStep(nil)
	}
}

// headersLead says which allocated object's handle is dead or leads elsewhere; under the class lock there is none.
func (s *stage) headersLead() (err error) {
	c := s.p.classes[s.p.slots[sizeSlot(s.victim.size)]]
	c.mu.Lock()
	defer c.mu.Unlock()
	for run := uint32(1); run < s.p.lanes[c.lane].fresh.Load(); run++ {
		z := s.p.zspageAt(c.lane, run)
		for i := range int(z.fresh) {
			h := s.p.header(c, run, i).handle
			if h == 0 || !z.used || z.class != c.index {
				continue
			}
			if w := s.p.handles.word(h).Load(); w&^pinBit != makeLocation(c.index, run, i).unpinned() {
				err = fmt.Errorf("object %d of run %d names handle %d, whose word is %#x", i, run, h, w)
			}
		}
	}
	return err
}

// While an object is freed, a handle that is found in a header under the class lock is alive, other users and
// compaction find nothing amiss, and neither does the next process.
func TestFreeInterleaved(t *testing.T) {
	for _, mutant := range []string{"", "free the handle first"} {
		steps := []string{"free: pinned", "free: object freed", "free: handle freed"}
		if mutant != "" {
			steps = []string{"mutant: handle freed early"}
		}
		for _, at := range steps {
			setMutant(t, mutant)
			s := newStage(t)
			var lead, err error
			reached := false
			invariant.OnStep(func(name string) {
				if name != at {
					return
				}
				invariant.OnStep(nil)
				reached = true
				lead = s.headersLead()
				s.p.Compact(1 << 20)
				o, e := put(s.p, 4711, s.victim.size)
				s.victim.size = 0 // nobody needs to find it
				s.others = append(s.others, o)
				err = errors.Join(e, s.recover())
			})
			noErr(t, s.p.Free(s.victim.h))
			if !reached || err != nil || (lead != nil) != (mutant != "") {
				t.Errorf("mutant %q at %q: reached: %t, %v; headers: %v", mutant, at, reached, err, lead)
			}
			for _, o := range s.others {
				noErr(t, o.verify(s.p))
			}
			noErr(t, errors.Join(s.p.Check(), s.p.Close(), s.p.a.Close()))
		}
	}
}
