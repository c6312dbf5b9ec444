package zpool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// PageSize is the size of a page in bytes.
const PageSize = 4096

var (
	// ErrFull is returned by Store when the page would take the pool beyond its limit, and until the pool is back
	// below its accept threshold.
	ErrFull = errors.New("the pool is full")
	// ErrNoMemory is returned by Store when the system has no memory although the limit would allow it.
	ErrNoMemory = errors.New("no memory for the page")
	// ErrCorrupt is returned by Load when the page was damaged in memory.
	ErrCorrupt = errors.New("the page is damaged")
	// ErrRange is returned for slots beyond the end of the pool.
	ErrRange = errors.New("slot beyond the end")
)

// Options say what a pool is. Slots, FrameLimit and ChainSize are fixed when its store is made.
type Options struct {
	Slots uint64 // pages that can be stored
	// MaxBytes is the hard limit of the memory that the pool takes: frames, tables and slack, all of it.
	MaxBytes int64
	// CeilingBytes is what SetMaxBytes may raise the limit to. It costs address space only. 0 means MaxBytes.
	CeilingBytes int64
	// AcceptThresholdPercent: a pool that hit its limit refuses pages until it is back at this share of it. 0 means 90.
	AcceptThresholdPercent int
	Compressor             string // a name that compressor.New takes; "" means compressor.Default
	ChainSize              int    // frames in the longest zspage; 0 means zsmalloc.DefaultChain
	// ReserveBytes of memory, more or less, are kept faulted in for stores, which then ask the system for none and are
	// refused with ErrNoMemory when it is used up: for a device that the whole machine swaps to. Then the whole slot
	// table is committed at once, too. 0: a store asks the system itself. ReserveThread, if any, is called on the thread
	// that waits for memory in their place.
	ReserveBytes  int64
	ReserveThread func()
	// WipeOnFree makes pages be overwritten in memory when they go, those among them that a killed process had in its hands, when
	// Open finds them; see SetWipeOnFree.
	WipeOnFree bool
	// Backing is given to Open: the backing file that the store's last process had, see Pool.Backing. Open owns it, errors
	// included. BackingLimits are its limits; Path and Bytes mean nothing there.
	Backing       *os.File
	BackingLimits BackingOptions
	// Compactor starts background compaction, if nothing else is wanted in the background. nil: none.
	Compactor *zsmalloc.CompactorOptions
	// Background starts all of it. nil: nothing happens by itself. Then Tick, Recompress and Compact can be called.
	Background *Background
	// IdleAfter, RecompressCodec, ClusterSize, WritebackAfter and MinWastePercent are settings, see there. 0 and "":
	// DefaultSettings.
	IdleAfter, WritebackAfter    time.Duration
	RecompressCodec              string
	ClusterSize, MinWastePercent int

	making *making // the codec of that name, if it is being made
}

func (o Options) withDefaults() Options {
	if o.CeilingBytes == 0 {
		o.CeilingBytes = o.MaxBytes
	}
	if o.AcceptThresholdPercent == 0 {
		o.AcceptThresholdPercent = 90
	}
	if o.Compressor == "" {
		o.Compressor = compressor.Default
	}
	if o.ChainSize == 0 {
		o.ChainSize = zsmalloc.DefaultChain
	}
	return o
}

// settings are those that a pool begins with.
func (o Options) settings() Settings {
	s, d := Settings{o.MaxBytes, o.AcceptThresholdPercent, o.IdleAfter, o.RecompressCodec, o.ClusterSize, o.WritebackAfter, o.MinWastePercent}, DefaultSettings()
	if s.IdleAfter == 0 {
		s.IdleAfter = d.IdleAfter
	}
	if s.RecompressCodec == "" {
		s.RecompressCodec = d.RecompressCodec
	}
	if s.ClusterSize == 0 {
		s.ClusterSize = d.ClusterSize
	}
	if s.MinWastePercent == 0 {
		s.MinWastePercent = d.MinWastePercent
	}
	return s
}

// MinBytes is the smallest limit that a pool can work with.
const MinBytes = 1 << 20

func (o Options) validate() (err error) {
	if o.CeilingBytes < o.MaxBytes {
		err = fmt.Errorf("ceiling = %d bytes: want at least the pool limit, %d", o.CeilingBytes, o.MaxBytes)
	}
	settings := o.settings()
	err = errors.Join(err, settings.validate(math.MaxInt64))
	return errors.Join(err, o.superblock().validate())
}

func (o Options) superblock() superblock {
	return superblock{
		slots:     o.Slots,
		maxFrames: min((o.CeilingBytes+arena.FrameSize-1)/arena.FrameSize, math.MaxUint32-1),
		chain:     uint32(o.ChainSize),
	}
}

// Pool is a pool of compressed pages. Its methods may be called concurrently unless they say otherwise; pages go in
// and out through a Worker for each thread.
type Pool struct {
	super     superblock
	a         *arena.Arena
	slots     *slots
	zs        *zsmalloc.Pool
	codec     string
	settings  atomic.Pointer[Settings] // but for the limit
	limit     atomic.Int64             // that was set, in bytes; see limitMemory
	clock     clock
	tiers     tiers
	writeback writeback
	full      atomic.Bool   // the limit was hit, and the threshold not reached since
	cutOff    atomic.Uint64 // clusters that damage has made nobody's

	stored     atomic.Int64 // pages, and the most there ever were
	peakStored atomic.Int64
	peakMemory atomic.Int64 // bytes taken when peakStored was reached
	limitHit   atomic.Uint64

	mu struct {
		sync.Mutex
		workers []*Worker
	}
}

// New makes an empty pool in a new store.
func New(o Options) (*Pool, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("zpool: %w", err)
	}
	s := o.superblock()
	a, err := arena.New("zswapd", s.size(), arena.NewBudget(o.MaxBytes))
	if err != nil {
		return nil, fmt.Errorf("zpool: %w", err)
	}
	p, err := newIn(a, s, o)
	if err != nil {
		return nil, fmt.Errorf("zpool: %w", errors.Join(err, a.Close()))
	}
	return p, nil
}

func newIn(a *arena.Arena, s superblock, o Options) (*Pool, error) {
	if err := a.Commit(0, arena.FrameSize); err != nil {
		return nil, err
	}
	zs, err := zsmalloc.New(a, s.zsBase(), s.zsmalloc())
	if err != nil {
		return nil, err
	}
	// The superblock comes last: a store that is half made is none.
	s.encode(a.Bytes(0, superblockSize))
	return assemble(a, s, zs, newSlots(a, s.tableBase(), s.slots), nil, o)
}

func assemble(a *arena.Arena, s superblock, zs *zsmalloc.Pool, table *slots, file *backing.File, o Options) (*Pool, error) {
	codec, err := compressor.New(o.Compressor)
	if err != nil {
		return nil, errors.Join(err, zs.Close())
	}
	p := &Pool{super: s, a: a, slots: table, zs: zs, codec: codec.Name()}
	p.tiers.init(p, o.settings())
	p.tiers.making = o.making
	p.writeback.open(p, file)
	if o.ReserveBytes > 0 {
		if err := table.commitAll(); err != nil {
			return nil, errors.Join(err, zs.Close())
		}
	}
	p.SetWipeOnFree(o.WipeOnFree)
	p.limit.Store(o.MaxBytes)
	a.Budget().SetLimit(o.MaxBytes) // until here recovery had more
	if o.ReserveBytes > 0 {
		if err := zs.StartReserve(zsmalloc.ReserveOptions{Frames: o.ReserveBytes / arena.FrameSize, Thread: o.ReserveThread}); err != nil {
			return nil, errors.Join(err, zs.Close())
		}
	}
	switch {
	case o.Background != nil:
		if err := p.tiers.start(*o.Background); err != nil {
			return nil, errors.Join(err, zs.Close())
		}
		p.writeback.start()
	case o.Compactor != nil:
		zs.StartCompactor(*o.Compactor)
	}
	return p, nil
}

// Slots returns how many slots the pool has.
func (p *Pool) Slots() uint64 { return p.super.slots }

// Compressor returns the name of the codec that new pages are compressed with.
func (p *Pool) Compressor() string { return p.codec }

// File returns the store's memory file, to be held by another process and given to Open; nil for a store in Go memory,
// as race builds have it.
func (p *Pool) File() *os.File { return p.a.File() }

// SetMaxBytes changes the limit. If more than that is used, nothing is dropped and no page is taken until there is room: what is packed
// in the background makes some, which may take a little more for the moment.
func (p *Pool) SetMaxBytes(n int64) error {
	s := p.Settings()
	s.MaxBytes = n
	return p.Set(s)
}

// SetWipeOnFree makes pages be overwritten in memory when they go; see zsmalloc.Pool.SetWipeOnFree.
func (p *Pool) SetWipeOnFree(on bool) { p.zs.SetWipeOnFree(on) }

// Wipe drops all pages and overwrites their memory. Nobody else may use the pool any more.
func (p *Pool) Wipe() {
	p.SetWipeOnFree(true)
	_ = p.NewWorker().Invalidate(0, p.Slots()) // all of its slots are in range
}

// Compact is one step of compaction; see zsmalloc.Pool.Compact.
func (p *Pool) Compact(budget int) (zsmalloc.Compaction, bool) { return p.zs.Compact(budget) }

// Trim gives all ready frames back to the system; see zsmalloc.Pool.Trim.
func (p *Pool) Trim() { p.zs.Trim() }

// Allocator returns the numbers of the allocator below, class by class. It takes each class's lock for a moment.
func (p *Pool) Allocator() zsmalloc.Stats { return p.zs.Stats() }

// Close stops the background work and forgets the store, whose memory lives on while another process holds its file.
// No other call may be in progress or follow.
func (p *Pool) Close() error {
	p.tiers.halt()
	p.writeback.halt()
	return errors.Join(p.writeback.close(), p.zs.Close(), p.a.Close())
}

// countStored counts pages that came (n > 0) or went.
func (p *Pool) countStored(n int64) {
	if stored := p.stored.Add(n); n > 0 {
		for old := p.peakStored.Load(); stored > old; old = p.peakStored.Load() {
			if p.peakStored.CompareAndSwap(old, stored) {
				p.peakMemory.Store(p.a.Budget().Used())
				return
			}
		}
	}
}
