package zsmalloc

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/invariant"
)

var (
	// ErrNoSpace is returned by Malloc when no frame can be had: the budget is used up (then it wraps
	// arena.ErrLimit), or the system has none.
	ErrNoSpace = errors.New("no memory for the object")
	// ErrNoHandle is returned by Malloc when every handle is in use.
	ErrNoHandle = errors.New("no free handle")
	// ErrBadHandle is returned when a handle names no live object: it was freed, or its word or its object's
	// header is damaged.
	ErrBadHandle = errors.New("handle names no object")
	// ErrAdopted is returned by Recovery.Adopt for a handle that was adopted before.
	ErrAdopted = errors.New("handle was adopted before")
)

// Options say how a pool is laid out; they must be the same each time the pool is opened.
type Options struct {
	Handles   int64 // objects that can live at once, up to 1<<32-2
	MaxFrames int64 // frames that objects can take, whatever the budget; bounds the address space
	ChainSize int   // frames in the longest zspage, 1..MaxChain; 0 for DefaultChain
}

// DefaultChain is the chain length when none is asked for; zpool's BenchmarkDensity shows why this one.
const DefaultChain = 16

// Layout returns the length in bytes of a pool's region in the arena.
func (o Options) Layout() int64 { return o.place(0, nil) }

// Validate returns every problem of the options at once.
func (o Options) Validate() (err error) {
	if o.Handles < 1 || o.Handles > 1<<32-2 {
		err = errors.Join(err, fmt.Errorf("handles = %d: want 1..%d", o.Handles, int64(1<<32-2)))
	}
	if o.MaxFrames < 1 || o.MaxFrames > 1<<32-2 {
		err = errors.Join(err, fmt.Errorf("max frames = %d: want 1..%d", o.MaxFrames, int64(1<<32-2)))
	}
	if o.ChainSize < 0 || o.ChainSize > MaxChain {
		err = errors.Join(err, fmt.Errorf("chain size = %d: want 1..%d", o.ChainSize, MaxChain))
	}
	return err
}

// Pool is an allocator in a region of an arena. All methods may be called concurrently unless they say otherwise.
type Pool struct {
	a           *arena.Arena
	private     *arena.Arena // zspage descriptors: derived, so not in a
	handles     handles
	hugeHeaders int64 // table of headers for the runs of lane 0, in a
	lanes       [lanes]lane
	classes     []*class
	slots       [sizeSlots]uint8 // size slot → class
	compactor   compactor
	reserve     reserve

	wipe      atomic.Bool // freed objects are overwritten
	compactMu sync.Mutex  // held for a step of compaction
	nextClass int         // where the next one goes on; guarded by compactMu

	readyFrames     atomic.Int64
	framesCompacted atomic.Uint64       // frames that compaction freed
	pauses          histogram.Histogram // see Pauses
	objectsMigrated atomic.Uint64
}

// place lays the parts of a region out from base and returns where it ends. With p it fills in the offsets.
func (o Options) place(base int64, p *Pool) int64 {
	next := base
	take := func(bytes int64) int64 {
		at := next
		next += (bytes + arena.ChunkSize - 1) / arena.ChunkSize * arena.ChunkSize
		return at
	}
	at := take((o.Handles + 1) * 8)
	huge := take((o.MaxFrames + 1) * headerSize)
	if p != nil {
		p.handles = handles{a: p.a, base: at, max: uint32(o.Handles)}
		p.hugeHeaders = huge
	}
	for l := range lanes {
		at := take((o.MaxFrames + 1) << l * frameSize)
		if p != nil {
			p.lanes[l] = lane{base: at, runs: uint32(o.MaxFrames + 1)}
		}
	}
	return next
}

// New makes an empty pool in a region of the arena that nobody else uses: Layout bytes from base, none of them
// committed; base is a multiple of arena.ChunkSize. Everything that it commits comes from the arena's budget.
func New(a *arena.Arena, base int64, o Options) (*Pool, error) {
	p, err := newPool(a, base, o)
	if err != nil {
		return nil, err
	}
	if err := a.Commit(p.handles.base, frameSize); err != nil {
		return nil, errors.Join(err, p.private.Close())
	}
	return p, nil
}

// newPool returns a pool that knows of no object.
func newPool(a *arena.Arena, base int64, o Options) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("zsmalloc: %w", err)
	}
	p := &Pool{a: a}
	o.place(base, p)
	p.handles.fresh.Store(1)
	if o.ChainSize == 0 {
		o.ChainSize = DefaultChain
	}
	var table []sizeClass
	table, p.slots = classTable(o.ChainSize)
	for i, sc := range table {
		p.classes = append(p.classes, &class{
			index: uint8(i), lane: laneOf(sc.frames), size: sc.size, objsPerZspage: sc.objs, framesPer: sc.frames,
			huge: sc.frames == 1 && sc.objs == 1,
		})
	}
	descriptors := ((o.MaxFrames+1)*zspageSize + arena.ChunkSize - 1) / arena.ChunkSize * arena.ChunkSize
	private, err := arena.New("zspages", lanes*descriptors, a.Budget())
	if err != nil {
		return nil, fmt.Errorf("zsmalloc: %w", err)
	}
	p.private = private
	for l := range p.lanes {
		p.lanes[l].descriptors = int64(l) * descriptors
		p.lanes[l].fresh.Store(1)
	}
	p.compactor.init(p)
	return p, nil
}

// Close stops the background work and frees what is derived. The objects stay in the arena.
// No other call may be in progress or follow.
func (p *Pool) Close() error {
	p.StopCompactor()
	p.StopReserve()
	return p.private.Close()
}

// SetWipeOnFree makes objects be overwritten with zeros when they are freed or moved away, from now on: what has been in
// the pool is then not left in memory that others are given. It costs as much as it takes to write them.
func (p *Pool) SetWipeOnFree(on bool) { p.wipe.Store(on) }

// HugeSize returns the smallest payload in bytes that takes a whole frame (zs_huge_class_size).
func (p *Pool) HugeSize() int {
	for i := len(p.classes) - 1; i >= 0; i-- {
		if !p.classes[i].huge {
			return p.classes[i].room() + 1
		}
	}
	return 1
}

// ClassSize returns what an object of n payload bytes, 1..MaxSize, takes of the frames: its class's size.
func (p *Pool) ClassSize(n int) int { return p.classes[p.slots[sizeSlot(n)]].size }

// Malloc allocates an object for size bytes, 1..MaxSize, and keeps tag with it. The object's bytes hold
// anything. It returns ErrNoSpace or ErrNoHandle, wrapped.
func (p *Pool) Malloc(size int, tag uint32) (Handle, error) { return p.malloc(size, tag, nil) }

// Put allocates an object that holds data, 1..MaxSize bytes, and keeps tag with it: Malloc and a write in one, so that
// there is no moment at which the handle leads to bytes that are not there yet.
func (p *Pool) Put(data []byte, tag uint32) (Handle, error) { return p.malloc(len(data), tag, data) }

// TryPut is Put that waits for nobody.
func (p *Pool) TryPut(data []byte, tag uint32) (Handle, error) {
	return p.tryMalloc(len(data), tag, data)
}

func (p *Pool) malloc(size int, tag uint32, data []byte) (Handle, error) {
	for {
		h, err := p.tryMalloc(size, tag, data)
		if err == nil || !errors.Is(err, ErrReserve) || !p.reserve.await() {
			return h, err
		}
	}
}

func (p *Pool) tryMalloc(size int, tag uint32, data []byte) (Handle, error) {
	if size < 1 || size > MaxSize {
		panic(fmt.Sprintf("zsmalloc: Malloc of %d bytes, want 1..%d", size, MaxSize))
	}
	h, err := p.handles.alloc()
	for errors.Is(err, ErrNoSpace) && err != ErrReserve && p.MakeRoom() {
		h, err = p.handles.alloc()
	}
	if err == ErrReserve {
		p.reserve.bell.Ring()
		return 0, p.reserve.empty()
	}
	if err != nil {
		return 0, err
	}
	step("malloc: handle taken")
	if c := p.classes[p.slots[sizeSlot(size)]]; c.huge {
		err = p.putHuge(c, h, tag, data)
	} else {
		err = p.put(c, h, tag, data)
	}
	if err != nil {
		step("malloc: refused")
		p.handles.free(h)
		step("malloc: handle given back")
		return 0, err
	}
	return h, nil
}

// put makes an object in a zspage that others may be using.
func (p *Pool) put(c *class, h Handle, tag uint32, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	run, i, err := p.takeObjectLocked(c)
	for err != nil && !p.reserve.on.Load() && p.MakeRoom() {
		run, i, err = p.takeObjectLocked(c)
	}
	if err == nil {
		p.write(c, run, i, h, tag, data)
	}
	return err
}

// putHuge makes an object that is a zspage of its own. All huge objects are of one class, so what takes time, a frame and a
// copy of 4 KiB, is done before its lock is taken.
func (p *Pool) putHuge(c *class, h Handle, tag uint32, data []byte) error {
	run, z, err := p.takeFrame(c)
	for err != nil && !p.reserve.on.Load() && p.MakeRoom() {
		run, z, err = p.takeFrame(c)
	}
	if err != nil {
		return err
	}
	z.use(c.index)
	p.write(c, run, 0, h, tag, data)
	c.mu.Lock()
	z.fresh, z.inuse = 1, 1
	c.mu.zspages++
	c.mu.frames++
	c.mu.objects++
	p.linkLocked(c, run, z)
	c.mu.Unlock()
	return nil
}

// takeFrame returns a run of one committed frame.
func (p *Pool) takeFrame(c *class) (run uint32, z *zspage, err error) {
	run, z, err = p.takeRun(c.lane, 1)
	if err == ErrReserve { // not the path on which to make an error of it
		return 0, nil, err
	}
	if err == nil && z.committed.Load() == 0 {
		if err = p.a.Commit(p.frames(c.lane, run), frameSize); err == nil {
			step("zspage: huge frame committed")
			z.committed.Store(1)
		} else {
			p.giveRun(c.lane, run, z)
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return run, z, nil
}

// write makes the object and publishes it.
func (p *Pool) write(c *class, run uint32, i int, h Handle, tag uint32, data []byte) {
	step("malloc: object taken")
	copy(p.payload(c, run, i), data)
	step("malloc: bytes copied")
	*p.header(c, run, i) = header{handle: h, tag: tag}
	step("malloc: header written")
	recordFresh(p.handles.word(h), makeLocation(c.index, run, i))
	step("malloc: handle recorded")
}

// Pin gives the caller the object of a handle until Unpin: its bytes, at least as many as were asked for, and
// its tag. Others who want the object wait, and compaction leaves it where it is; so a pin is held for
// microseconds. It returns ErrBadHandle, and then there is nothing to unpin.
func (p *Pool) Pin(h Handle) (object []byte, tag uint32, err error) {
	c, l, err := p.pin(h)
	if err != nil {
		return nil, 0, err
	}
	return p.payload(c, l.run(), l.index()), p.header(c, l.run(), l.index()).tag, nil
}

// Unpin ends a pin, which must be the caller's own.
func (p *Pool) Unpin(h Handle) {
	if w := p.handles.word(h); invariant.On && w.Load()&pinBit == 0 {
		panic(fmt.Sprintf("zsmalloc: unpin of handle %d, which is not pinned: %#x", h, w.Load()))
	}
	unpin(p.handles.word(h))
}

// pin pins a handle and checks that its object is there and says so.
func (p *Pool) pin(h Handle) (*class, location, error) {
	if !p.handles.known(h) {
		return nil, 0, ErrBadHandle
	}
	w := p.handles.word(h)
	l, ok := pin(w)
	if !ok {
		return nil, 0, ErrBadHandle
	}
	if c := p.classOf(l); c != nil && p.header(c, l.run(), l.index()).handle == h {
		return c, l, nil
	}
	unpin(w)
	return nil, 0, ErrBadHandle
}

// classOf returns the class of the zspage at l, or nil if there is no such place.
func (p *Pool) classOf(l location) *class {
	if int(l.class()) >= len(p.classes) {
		return nil
	}
	c := p.classes[l.class()]
	if l.run() == 0 || l.run() >= p.lanes[c.lane].fresh.Load() || l.index() >= c.objsPerZspage {
		return nil
	}
	if z := p.zspageAt(c.lane, l.run()); (l.index()+1)*c.size > int(z.committed.Load())*frameSize {
		return nil // nothing is there; a touch would fault a frame in that nobody counts
	}
	return c
}

// Free frees the object of a handle and the handle, also if the object's header is damaged.
// It waits for the pin, so the caller must not hold it.
// It returns ErrBadHandle, and then frees nothing. A handle is used again after it was freed, so a caller that frees
// twice may free somebody else's object: the pool's slots see to it that each handle has one owner.
func (p *Pool) Free(h Handle) error {
	c, l, err := p.pin(h)
	if err != nil {
		return p.freeDamaged(h)
	}
	step("free: pinned")
	if invariant.Mutant == "free the handle first" {
		p.freeWrong(h, c, l)
		return nil
	}
	c.mu.Lock()
	p.putObjectLocked(c, l.run(), l.index())
	c.mu.Unlock()
	step("free: object freed")
	if p.handles.free(h)%wakeEvery == 0 {
		p.compactor.wake()
	}
	step("free: handle freed")
	p.trimReady()
	return nil
}

// takeObjectLocked allocates an object, from the fullest zspage that is not full.
// Preconditions for these three: c.mu is held.
func (p *Pool) takeObjectLocked(c *class) (run uint32, i int, err error) {
	for g := groupFull - 1; g > 0; g-- {
		if run := c.mu.groups[g]; run != 0 {
			if i, err = p.takeFromLocked(c, run, p.zspageAt(c.lane, run)); err == nil {
				return run, i, nil
			}
		}
	}
	run, z, err := p.takeRun(c.lane, c.framesPer)
	if err == ErrReserve { // not the path on which to make an error of it
		return 0, 0, err
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	z.use(c.index)
	c.mu.zspages++
	c.mu.frames += int(z.committed.Load())
	p.linkLocked(c, run, z)
	if i, err = p.takeFromLocked(c, run, z); err != nil {
		p.dropZspageLocked(c, run, z)
		return 0, 0, fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return run, i, nil
}

// errDamaged: what a zspage says of its free objects cannot be. Until the store is opened anew it gives none of them.
var errDamaged = errors.New("the free list of a zspage is damaged")

// takeFromLocked allocates an object of one zspage that is not full.
func (p *Pool) takeFromLocked(c *class, run uint32, z *zspage) (i int, err error) {
	if z.free != noObject {
		i = int(z.free)
		if i >= int(z.fresh) || p.header(c, run, i).handle != 0 { // damaged: it may be somebody's object
			z.free = noObject
			return 0, errDamaged
		}
		z.free = uint16(p.header(c, run, i).tag)
	} else {
		if i = int(z.fresh); i == c.objsPerZspage {
			return 0, errDamaged
		}
		if err := p.commitObjectLocked(c, run, z, i); err != nil {
			return 0, err
		}
		z.fresh++
	}
	z.inuse++
	c.mu.objects++
	p.regroupLocked(c, run, z)
	return i, nil
}

// commitObjectLocked commits the frames of a zspage up to the end of object i. It goes ahead by a share of what
// the class has, so that a class in use asks the system seldom, and a rare one holds no frames in vain.
func (p *Pool) commitObjectLocked(c *class, run uint32, z *zspage, i int) error {
	have := int(z.committed.Load())
	need := ((i+1)*c.size + frameSize - 1) / frameSize
	if need <= have {
		return nil
	}
	if p.reserve.on.Load() {
		return p.reserve.empty() // a zspage from before there was one
	}
	ahead := min(max(need, have+c.mu.frames/64), c.framesPer)
	at := p.frames(c.lane, run) + int64(have)*frameSize
	err := p.a.Commit(at, int64(ahead-have)*frameSize)
	if err != nil && ahead > need {
		ahead = need
		err = p.a.Commit(at, int64(ahead-have)*frameSize)
	}
	if err != nil {
		return err
	}
	step("zspage: frames committed")
	z.committed.Store(uint32(ahead))
	c.mu.frames += ahead - have
	return nil
}

// putObjectLocked frees an object; if it was the last, its zspage too.
func (p *Pool) putObjectLocked(c *class, run uint32, i int) {
	z := p.zspageAt(c.lane, run)
	if p.wipe.Load() {
		clear(p.payload(c, run, i))
	}
	if invariant.On {
		poison(p.payload(c, run, i))
	}
	*p.header(c, run, i) = header{tag: uint32(z.free)}
	step("object: header cleared")
	z.free = uint16(i)
	z.inuse--
	c.mu.objects--
	if z.inuse == 0 {
		p.dropZspageLocked(c, run, z)
		return
	}
	p.regroupLocked(c, run, z)
}

// dropZspageLocked gives an empty zspage's frames back.
func (p *Pool) dropZspageLocked(c *class, run uint32, z *zspage) {
	p.unlinkLocked(c, z)
	c.mu.zspages--
	c.mu.frames -= int(z.committed.Load())
	p.giveRun(c.lane, run, z)
	step("zspage: given back")
}
