package zpool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Recovered says what Open found in a store.
type Recovered struct {
	Pages uint64 // stored
	// Lost are slots whose word or handle is damaged, or whose cluster. Loading one gives ErrCorrupt until it is stored to or
	// invalidated. Damage inside an object, and in its header, shows when it is loaded.
	Lost uint64
	// Backing is why pages in the backing file were lost: it is missing, another one, or its state is damaged. nil: none was.
	Backing error
	// Unclaimed are objects that no slot named; they are gone now. A thread that was killed at work leaves one at most, and
	// so does a lost slot. More of them tell what nothing else does: slot words were wiped out, and those slots now read as
	// if no page had ever been stored there.
	Unclaimed uint64
}

// Open opens the store in f, which must not be in use by anybody: the process that was is dead, or gave it up. It finds
// all that was stored, releases all memory that is not needed for it, and owns f afterwards. Of the options, those that
// are fixed in the store are ignored. A store that cannot be one is an error, and f is closed.
func Open(f *os.File, o Options) (*Pool, Recovered, error) {
	s, err := Prepare(f, o)
	if err != nil {
		return nil, Recovered{}, err
	}
	return s.Open()
}

// Standby is ready to open a store that another process still uses, and then takes next to no memory for it: for a
// successor that is needed when there is none to be had, because swap is what would make some free.
type Standby struct {
	o  Options
	a  *arena.Arena
	s  superblock
	zs *zsmalloc.Recovery
}

// Prepare maps the store in f, and owns f afterwards, errors included. The options are those of Open.
func Prepare(f *os.File, o Options) (*Standby, error) {
	a, err := arena.Map(f, arena.NewBudget(math.MaxInt64))
	if err != nil {
		return nil, fmt.Errorf("zpool: open: %w", errors.Join(err, f.Close(), closeFile(o.Backing)))
	}
	s, err := prepareIn(a, o)
	if err != nil {
		return nil, fmt.Errorf("zpool: open: %w", errors.Join(err, a.Close(), closeFile(o.Backing)))
	}
	return s, nil
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func prepareIn(a *arena.Arena, o Options) (*Standby, error) {
	s, err := readSuperblock(a)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	o.Slots, o.ChainSize, o.CeilingBytes = s.slots, int(s.chain), max(s.maxFrames*arena.FrameSize, o.MaxBytes)
	if err := o.validate(); err != nil {
		return nil, err
	}
	zs, err := zsmalloc.Prepare(a, s.zsBase(), s.zsmalloc())
	if err != nil {
		return nil, err
	}
	return &Standby{o: o, a: a, s: s, zs: zs}, nil
}

// Refresh takes what memory it would take to open the store now. Call it now and then: what has come since is what Open
// must take.
func (s *Standby) Refresh() error {
	err := errors.Join(s.a.MapTables(), s.zs.Foresee())
	if err != nil {
		return fmt.Errorf("zpool: standby: %w", err)
	}
	return nil
}

// Open is like the function of that name. It uses the standby up.
func (s *Standby) Open() (*Pool, Recovered, error) {
	there, err := s.a.Count()
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("zpool: open: %w", errors.Join(err, s.Close()))
	}
	budget := s.a.Budget()
	used := budget.Used()
	budget.SetLimit(used + min(s.o.MaxBytes, math.MaxInt64-used))
	p, r, err := s.open(there)
	if err != nil {
		return nil, r, fmt.Errorf("zpool: open: %w", errors.Join(err, s.a.Close()))
	}
	return p, r, nil
}

// Close gives up a standby that was not opened.
func (s *Standby) Close() error {
	return errors.Join(s.zs.Abort(), s.a.Close(), closeFile(s.o.Backing))
}

// openIn opens the store in an arena whose memory is counted.
func openIn(a *arena.Arena, o Options) (*Pool, Recovered, error) {
	s, err := prepareIn(a, o)
	if err != nil {
		return nil, Recovered{}, err
	}
	there, err := a.Extents()
	if err != nil {
		return nil, Recovered{}, errors.Join(err, s.zs.Abort())
	}
	return s.open(there)
}

func (s *Standby) open(there []arena.Extent) (*Pool, Recovered, error) {
	table := newSlots(s.a, s.s.tableBase(), s.s.slots)
	table.adopt(there)
	if err := s.zs.Begin(there); err != nil {
		return nil, Recovered{}, errors.Join(err, s.zs.Abort())
	}
	s.zs.Keep(s.o.ReserveBytes / arena.FrameSize)
	file, lost, err := s.adoptBacking()
	if err != nil {
		return nil, Recovered{}, errors.Join(err, s.zs.Abort())
	}
	found, err := adoptSlots(table, s.zs, file)
	if err != nil {
		return nil, found.Recovered, errors.Join(err, s.zs.Abort(), letGo(file))
	}
	if found.unbacked > 0 || file == nil && !errors.Is(lost, backing.ErrNone) {
		found.Backing = lost
	}
	step("recover: slots adopted")
	pool, err := s.zs.Finish()
	if err != nil {
		return nil, found.Recovered, errors.Join(err, letGo(file))
	}
	p, err := assemble(s.a, s.s, pool, table, file, s.o)
	if err != nil {
		return nil, found.Recovered, errors.Join(err, letGo(file))
	}
	found.Unclaimed = uint64(s.zs.Unclaimed())
	p.inherit(found)
	s.a.Budget().SetLimit(s.o.MaxBytes)
	step("recover: done")
	return p, found.Recovered, nil
}

// adoptBacking goes on with the backing file. lost is why there is none, or why what is in it may be lost.
func (s *Standby) adoptBacking() (file *backing.File, lost, err error) {
	f := s.o.Backing
	s.o.Backing = nil
	file, err = backing.Adopt(s.a, s.s.backingBase(), f, s.o.BackingLimits.limits())
	for _, reason := range []error{backing.ErrNone, backing.ErrForeign, backing.ErrState} {
		if errors.Is(err, reason) {
			return nil, err, nil
		}
	}
	return file, backing.ErrShort, err
}

func letGo(f *backing.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func readSuperblock(a *arena.Arena) (s superblock, err error) {
	there := false
	if err := a.Resident(0, arena.FrameSize, func(_, n int64) { there = n > 0 }); err != nil {
		return s, err
	}
	if !there {
		return s, errors.New("no superblock: this is not a store")
	}
	if s, err = decodeSuperblock(a.Bytes(0, superblockSize)); err != nil {
		return s, err
	}
	if s.size() != a.Size() {
		return s, fmt.Errorf("a store of %d slots and %d frames has %d bytes, this one has %d", s.slots, s.maxFrames, s.size(), a.Size())
	}
	return s, nil
}

// found is what recovery counts while it walks the slots.
type found struct {
	Recovered
	counters
	table    *slots
	zs       *zsmalloc.Recovery
	file     *backing.File              // nil: none
	unbacked uint64                     // pages that were in a file, and are lost
	owners   map[zsmalloc.Handle]uint64 // of objects that a slot had claimed before their owner came
	window   uint64                     // that the walk is in
	claims   []claim                    // of slots in it
}

// adoptSlots claims the objects that slots name and unlocks the slots. Only damage makes a page lost: if there is no
// memory to recover with, that is an error, and the store is as good as before.
func adoptSlots(table *slots, zs *zsmalloc.Recovery, file *backing.File) (f *found, err error) {
	f = &found{table: table, zs: zs, file: file, owners: map[zsmalloc.Handle]uint64{}}
	table.each(func(slot uint64, at *atomic.Uint64) bool {
		if f.window != windowOf(slot) {
			if err = f.adoptClusters(); err != nil {
				return false
			}
			f.window = windowOf(slot)
		}
		w := word(at.Load() &^ lockBit)
		if w == 0 {
			at.Store(0)
			return true
		}
		f.Pages++
		if w.kind() == kindMember {
			f.claim(slot, w)
			return true
		}
		whole, e := f.adoptSlot(slot, w)
		if errors.Is(e, zsmalloc.ErrAdopted) {
			if whole = owns(slot, w, zs); whole {
				f.owners[w.handle()] = slot
			}
		} else if e != nil {
			err = fmt.Errorf("slot %d: %w", slot, e)
			return false
		}
		f.settle(slot, w, whole)
		return true
	})
	if err == nil {
		err = f.adoptClusters()
	}
	if err == nil && len(f.owners) > 0 {
		f.evict()
	}
	return f, err
}

// settle unlocks a slot, whose page is whole or lost.
func (f *found) settle(slot uint64, w word, whole bool) {
	if !whole {
		w = lostWord
		f.Lost++
	}
	f.table.word(slot).Store(uint64(w))
	step("recover: slot unlocked")
	f.count(0, w)
}

// claim notes that a slot names a cluster. Whether it is one of its members is seen when all of the window have spoken.
func (f *found) claim(slot uint64, w word) {
	for i := range f.claims {
		if c := &f.claims[i]; c.handle == w.handle() && c.length == w.length() {
			c.slots |= memberBit(slot)
			return
		}
	}
	f.claims = append(f.claims, claim{w.handle(), w.length(), memberBit(slot), f.window})
}

// claim is a cluster that slots of the window name, with the length that they say it has.
type claim struct {
	handle zsmalloc.Handle
	length int
	slots  uint16
	window uint64
}

// adoptClusters adopts the clusters of the window, makes those slots lost that name what is not theirs, and notes in each
// cluster which of its members are still there.
func (f *found) adoptClusters() error {
	for _, c := range f.claims {
		members, err := f.adoptCluster(c)
		if err != nil {
			return fmt.Errorf("slots from %d: %w", f.window, err)
		}
		for slot := f.window; slot < f.window+windowSlots; slot++ {
			if bit := memberBit(slot); c.slots&bit != 0 {
				f.settle(slot, word(f.table.word(slot).Load()&^lockBit), members&bit != 0)
			}
		}
	}
	f.claims = f.claims[:0]
	return nil
}

// adoptCluster returns which of the slots that claim a cluster are members of it: none, if it is not one.
func (f *found) adoptCluster(c claim) (members uint16, err error) {
	object, tag, err := f.zs.Object(c.handle, c.length)
	if err != nil || c.length <= clusterHeader {
		return 0, nil
	}
	known := isCluster(object, c.handle, c.window)
	if !known && clusterChecksum(object, f.window) != tag {
		return 0, nil
	}
	members = membersOf(object) & c.slots
	if known {
		members &= liveOf(object) // a word that says more is from before its page left
	}
	if members == 0 {
		return 0, nil
	}
	switch err := f.zs.Adopt(c.handle, c.length); {
	case errors.Is(err, zsmalloc.ErrAdopted):
		f.owners[c.handle] = noSlot
	case errors.Is(err, zsmalloc.ErrBadHandle):
		return 0, nil
	case err != nil:
		return 0, err
	}
	if !known || liveOf(object) != members {
		setLive(object, c.handle, f.window, members, membersOf(object))
		step("recover: cluster settled")
	}
	f.countCluster(int64(c.length), 1)
	return members, nil
}

// noSlot is the owner of a cluster.
const noSlot = math.MaxUint64

// adoptSlot reports whether the page of a slot is whole, as far as can be told without reading it.
func (f *found) adoptSlot(slot uint64, w word) (whole bool, err error) {
	switch w.kind() {
	case kindSameFilled:
		return w.ageless() == sameFilledWord(slot, w.pattern()), nil
	case kindObject:
		err := f.zs.Adopt(w.handle(), w.length())
		if errors.Is(err, zsmalloc.ErrBadHandle) {
			return false, nil
		}
		return err == nil, err
	case kindWritten:
		if f.file != nil && f.file.Claim(w.place()) {
			return true, nil
		}
		f.unbacked++
	}
	return false, nil
}

// owns reports whether the object that a slot's word names is the slot's: what the checksum says when two slots name one.
func owns(slot uint64, w word, zs *zsmalloc.Recovery) bool {
	object, tag, err := zs.Object(w.handle(), w.length())
	return err == nil && checksum(object, slot, w.codec()) == tag
}

// evict makes those slots lost that had claimed another's object.
func (f *found) evict() {
	f.table.each(func(slot uint64, at *atomic.Uint64) bool {
		w := word(at.Load())
		if owner, ok := f.owners[w.handle()]; ok && w.kind() == kindObject && owner != slot {
			at.Store(uint64(lostWord))
			f.count(w, lostWord)
			f.Lost++
		}
		return true
	})
}

// inherit takes over the counts of pages that were there before the pool's own workers.
func (p *Pool) inherit(f *found) {
	w := &Worker{p: p}
	w.sameFilled.Store(f.sameFilled.Load())
	w.incompressible.Store(f.incompressible.Load())
	w.compressedBytes.Store(f.compressedBytes.Load())
	w.counters.cold.Store(f.counters.cold.Load())
	w.clusters.Store(f.clusters.Load())
	w.written.Store(f.written.Load())
	w.coldBytes.Store(f.coldBytes.Load())
	w.corrupt.Store(f.Lost)
	p.mu.workers = append(p.mu.workers, w)
	p.countStored(int64(f.Pages))
}
