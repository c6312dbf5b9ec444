//go:build invariants

package zsmalloc

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/arena"
)

// The steps between which a migration is stopped.
var migrationSteps = []string{"pinned", "taken", "copied", "published", "unpinned"}

// patience is how long a step waits for what cannot happen in a right version, and should in a wrong one.
const patience = 20 * time.Millisecond

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
	over   chan struct{} // closed when the migration is over
}

func newStage(t *testing.T) *stage {
	s := &stage{o: Options{ChainSize: 8, Handles: 1024, MaxFrames: 64}, over: make(chan struct{})}
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

// start runs f beside the migration, and gives it a moment.
func (s *stage) start(f func() error) (end func() error) {
	result := make(chan error, 1)
	go func() { result <- f() }()
	time.Sleep(patience)
	return func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(100 * patience):
			return errors.New("it waits for ever")
		}
	}
}

func (s *stage) wait() { <-s.over }

// recover opens a copy of the arena as it is now, and verifies every object.
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
	all := append([]object{s.victim}, s.others...)
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
func act(t *testing.T, at, what string) (err error) {
	s := newStage(t)
	var end func() error
	onStep = func(name string) {
		if name == at && end == nil {
			end = func() error { return nil } // once
			end = meanwhile[what](s)
		}
	}
	s.p.Compact(1 << 20)
	onStep = nil
	close(s.over)
	if end == nil {
		return errors.New("the step was never reached")
	}
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

// Each wrong version of the protocol is caught by one of the same interleavings.
func TestMutantsAreCaught(t *testing.T) {
	defer func() { mutant = "" }()
	for _, m := range []string{"publish without the pin", "publish before copy", "free before publish"} {
		mutant = m
		caught := ""
		for _, at := range append(migrationSteps, "freed") {
			for what := range meanwhile {
				if at == "freed" && m != "free before publish" {
					continue
				}
				if err := act(t, at, what); err != nil && caught == "" {
					caught = fmt.Sprintf("%s after %q: %v", what, at, err)
				}
			}
		}
		if caught == "" {
			t.Errorf("%s: not caught", m)
		}
		t.Logf("%s: caught by %s", m, caught)
	}
}

// A handle that is recycled with a stale pin bit is born pinned if publishing keeps the bit.
func TestMutantKeepsTheOldBit(t *testing.T) {
	defer func() { mutant = "" }()
	for _, mutant = range []string{"", "keep the old bit"} {
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

// Compaction that waits for a pin under the class lock, and a user who wants the lock while he has the pin, wait for
// each other for ever; compaction that only tries ends at once.
func TestMutantWaitsUnderTheLock(t *testing.T) {
	defer func() { mutant = "" }()
	for _, mutant = range []string{"", "wait under the lock"} {
		s := newStage(t)
		_, _, err := s.p.Pin(s.victim.h)
		noErr(t, err)
		compacted, allocated := make(chan struct{}), make(chan struct{})
		go func() { s.p.Compact(1 << 20); close(compacted) }()
		time.Sleep(patience)
		go func() { _, _ = put(s.p, 1, s.victim.size); close(allocated) }()
		stuck := false
		select {
		case <-allocated: // the user who has the pin gets the lock
		case <-time.After(50 * patience):
			stuck = true
		}
		if stuck != (mutant != "") {
			t.Errorf("mutant %q: stuck: %t", mutant, stuck)
		}
		s.p.Unpin(s.victim.h) // which he could not, if he waited for the lock himself
		<-allocated
		<-compacted
	}
}
