package zpool

import (
	"errors"
	"fmt"
	"math"
	"os"

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
	// Whoever waits for a page that is to be swapped out may wait for a page table, if we had none where it goes. Without memory it is
	// tried again where it is needed.
	_ = s.a.MapTables()
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
	if s.o.Background != nil {
		s.o.making = makeCodec(s.o.settings().RecompressCodec)
	}
	table := newSlots(s.a, s.s.tableBase(), s.s.slots)
	table.adopt(there)
	if err := s.zs.Begin(there); err != nil {
		return nil, Recovered{}, errors.Join(err, s.zs.Abort(), closeFile(s.o.Backing))
	}
	s.zs.Keep(s.o.ReserveBytes / arena.FrameSize)
	if s.o.WipeOnFree {
		s.zs.Wipe()
	}
	file, lost, err := s.adoptBacking()
	if err != nil {
		return nil, Recovered{}, errors.Join(err, s.zs.Abort())
	}
	found := adoptSlots(table, s.zs, file)
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
