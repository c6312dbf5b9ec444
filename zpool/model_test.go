package zpool

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/zsmalloc"
)

// TestModel does random operations on a pool with random options and on a map, and compares. A failure is made as small
// as can be, and says how to repeat it; -rapid.checks is how many pools are tried, -rapid.steps how long each is used.
func TestModel(t *testing.T) {
	seen := seen{dir: shm(t)}
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, &seen)
		t.Repeat(map[string]func(*rapid.T){
			"":                    m.invariants,
			"store":               m.store,
			"store full":          m.storeUntilFull,
			"load":                m.load,
			"invalidate":          m.invalidate,
			"thin out":            m.thinOut,
			"compact":             m.compact,
			"tick":                m.tick,
			"pack":                m.pack,
			"settings":            m.set,
			"load twice":          m.loadTwice,
			"add backing file":    m.addBacking,
			"remove backing file": m.removeBacking,
			"write back":          m.writeBack,
			"clean":               m.cleanBacking,
			"limit":               m.setMaxBytes,
			"reopen":              m.reopenAll,
			"check":               m.check,
		})
		m.end(t)
	})
	t.Logf("%+v", seen)
	if seen.Pools >= 100 && (seen.Full == 0 || seen.Threshold == 0 || seen.Moved == 0 || seen.Reopened == 0 ||
		seen.Packed == 0 || seen.Written == 0 || seen.Removed == 0 ||
		seen.Pools >= 1000 && (seen.Promoted == 0 || seen.Cleaned == 0)) {
		t.Error("something never happened: the test did not test")
	}
}

// seen counts what happened in all pools of a test.
type seen struct {
	Pools, Pages, Full, Threshold, Moved, Reopened, Packed, Promoted int

	Written, Cleaned, Removed, NoRoom int

	dir string // for backing files
}

// model is a pool and what it must hold.
type model struct {
	p       *Pool
	o       Options    // that it was made or opened with
	workers [2]*Worker // made when first used
	seen    *seen

	slots uint64
	pages map[uint64]modelPage
	limit int64 // bytes
	most  int64 // that the pool may take: its limit, or what it had when the limit was lowered
	peak  int64 // the largest most since it was opened
}

type modelPage struct {
	bytes [PageSize]byte
	same  bool // repeats 8 bytes
}

const maxCeiling = 6 << 20 // bytes; small, for pools to be full now and then

func newModel(t *rapid.T, seen *seen) *model {
	m := &model{seen: seen, pages: map[uint64]modelPage{}}
	m.o = drawOptions(t, maxCeiling)
	m.o.Slots = rapid.SampledFrom([]uint64{1, 7, 500, 513, 1100, 1600}).Draw(t, "slots")
	m.o.CeilingBytes = rapid.Int64Range(m.o.MaxBytes, maxCeiling).Draw(t, "ceiling")
	m.o.ChainSize = rapid.IntRange(1, zsmalloc.MaxChain).Draw(t, "chain")
	p, err := New(m.o)
	noErr(t, err)
	m.use(p)
	m.seen.Pools++
	m.slots = m.o.Slots
	t.Cleanup(func() {
		if m.p != nil { // the test has failed
			_ = m.p.Close()
		}
	})
	return m
}

// drawOptions draws those that may differ each time that a store is opened.
func drawOptions(t *rapid.T, ceiling int64) (o Options) {
	o.MaxBytes = rapid.Int64Range(MinBytes, min(ceiling, 2<<20)).Draw(t, "limit")
	o.AcceptThresholdPercent = rapid.IntRange(1, 100).Draw(t, "accept")
	o.Compressor = rapid.SampledFrom(modelCodecs).Draw(t, "codec")
	o.RecompressCodec = rapid.SampledFrom(modelDense).Draw(t, "dense codec")
	o.ClusterSize = PageSize << rapid.IntRange(0, 4).Draw(t, "cluster")
	if rapid.Bool().Draw(t, "compactor") {
		o.Compactor = &zsmalloc.CompactorOptions{MinWastePercent: 1, Budget: 4096, Rest: 1, Delay: time.Microsecond}
	}
	return o
}

// modelCodecs are all formats; those whose codecs take milliseconds to make come less often. (A level is not a format.)
var modelCodecs = []string{"none", "lz4", "lz4hc", "none", "lz4", "lz4hc", "s2", "minlz", "s2", "minlz", "zstd"}

var modelDense = []string{"s2", "minlz", "s2", "minlz:2", "none", "zstd"}

// tick begins a generation. Pages that are loaded again within the next few are hot.
func (m *model) tick(t *rapid.T) {
	m.p.Tick()
	m.p.tiers.hotAge.Store(rapid.Uint32Range(0, 3).Draw(t, "hot"))
}

// pack packs what has not been used in this generation, or for a while, which nothing has.
func (m *model) pack(t *rapid.T) {
	idle := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Hour}).Draw(t, "idle")
	inUse, packed := m.p.zs.InUse(), int64(0)
	for range rapid.IntRange(1, 5).Draw(t, "steps") {
		did, _, err := m.p.Recompress(idle, rapid.IntRange(1, 300).Draw(t, "budget"))
		noErr(t, err)
		m.seen.Packed += int(did.Pages)
		packed += int64(did.Pages)
		if did.Lost != 0 || idle > 0 && did.Pages > 0 || did.Bytes < 0 || (did.Bytes == 0) != (did.Pages == 0) {
			t.Fatalf("idle for %v: %+v", idle, did)
		}
	}
	// Each object may be the first of its class, and leave a hole in another: that is for compaction.
	if now := m.p.zs.InUse(); now > inUse+(packed+2)*PageSize+m.p.a.Budget().Limit()/64 {
		t.Fatalf("%d bytes before %d pages were packed, %d after", inUse, packed, now)
	}
}

// loadTwice loads pages that are there twice in a generation, which makes them hot if they are cold.
func (m *model) loadTwice(t *rapid.T) {
	slots := slices.Sorted(maps.Keys(m.pages))
	if len(slots) == 0 {
		return
	}
	first := slots[rapid.IntRange(0, len(slots)-1).Draw(t, "page")]
	n := min(rapid.Uint64Range(1, 8).Draw(t, "n"), m.slots-first)
	m.p.tiers.hotAge.Store(1)
	for range 2 {
		m.verify(t, m.worker(t), first, n)
	}
}

// set changes settings, all but the limit.
func (m *model) set(t *rapid.T) {
	s := m.p.Settings()
	s.RecompressCodec = rapid.SampledFrom(modelDense).Draw(t, "dense codec")
	s.ClusterSize = PageSize << rapid.IntRange(0, 4).Draw(t, "cluster")
	s.AcceptThresholdPercent = rapid.IntRange(1, 100).Draw(t, "accept")
	noErr(t, m.p.Set(s))
	m.o.AcceptThresholdPercent = s.AcceptThresholdPercent
}

// use takes a pool that was just made or opened.
func (m *model) use(p *Pool) {
	m.p = p
	m.workers = [2]*Worker{}
	m.limit = m.o.MaxBytes
	m.most = max(m.limit, p.Stats().MemoryBytes)
	m.peak = max(m.most, p.Stats().PeakMemoryBytes) // opening counts garbage until it is released
}

func (m *model) worker(t *rapid.T) *Worker {
	w := &m.workers[rapid.IntRange(0, 1).Draw(t, "worker")]
	if *w == nil {
		*w = m.p.NewWorker()
	}
	return *w
}

// span draws a range of slots, from any frame of the table.
func (m *model) span(t *rapid.T) (first, n uint64) {
	n = min(m.slots, rapid.SampledFrom([]uint64{1, 2, 5, 17, 64}).Draw(t, "n"))
	frame := rapid.SampledFrom([]uint64{0, 1, 2, 3}).Draw(t, "frame")
	offset := rapid.Uint64Range(0, slotsPerFrame-1).Draw(t, "offset")
	return min(frame*slotsPerFrame+offset, m.slots-n), n
}

// Kinds of pages here: those of makePage, one that is all but same-filled with 4 or 8 bytes, and those of pagegen.
const modelKinds = pageKinds + 1 + int(pagegen.Kinds)

func makeModelPage(page []byte, kind int, seed uint64) {
	switch {
	case kind < pageKinds:
		makePage(page, kind, seed)
	case kind == pageKinds && seed%2 == 0:
		fillPage(page, seed<<32|seed^1<<(mix(seed)%32))
	case kind == pageKinds:
		makePage(page, int(1+seed/2%2), seed)
		page[mix(seed)%PageSize] ^= 1 << (seed % 8)
	default:
		pagegen.Fill(page, pagegen.Kind(kind-pageKinds-1), seed/pagegen.RunPages, seed)
	}
}

// drawPages draws pages of up to four kinds in turn, and returns what makes n of them from number i on.
func drawPages(t *rapid.T) func(i, n uint64) []byte {
	kinds := rapid.SliceOfN(rapid.IntRange(0, modelKinds-1), 1, 4).Draw(t, "kinds")
	seed := rapid.Uint64().Draw(t, "seed")
	return func(i, n uint64) []byte {
		pages := make([]byte, n*PageSize)
		for j := range n {
			makeModelPage(pages[j*PageSize:][:PageSize], kinds[(i+j)%uint64(len(kinds))], seed+i+j)
		}
		return pages
	}
}

func newModelPage(page []byte) (m modelPage) {
	copy(m.bytes[:], page)
	m.same = true
	for i := 8; i < PageSize && m.same; i++ {
		m.same = page[i] == page[i-8]
	}
	return m
}

// needsObject reports whether a page takes an object, which its slot word alone does not hold.
func (m modelPage) needsObject() bool { return !m.same || !bytes.Equal(m.bytes[:4], m.bytes[4:8]) }

func (m *model) store(t *rapid.T) {
	first, n := m.span(t)
	_ = m.storePages(t, m.worker(t), first, drawPages(t)(0, n))
}

// storeUntilFull stores pages until one is refused, or every slot has one.
func (m *model) storeUntilFull(t *rapid.T) {
	w, pages := m.worker(t), drawPages(t)
	for first := uint64(0); first < m.slots; first += 64 {
		if m.storePages(t, w, first, pages(first, min(64, m.slots-first))) != nil {
			return
		}
	}
}

// storePages stores pages, and sees to it that a refusal changes nothing and has its reason.
func (m *model) storePages(t *rapid.T, w *Worker, first uint64, pages []byte) error {
	n, before, full, inUse := uint64(len(pages)/PageSize), m.p.Stats(), m.p.full.Load(), m.p.zs.InUse()
	one := newModelPage(pages[:PageSize])
	tableThere := m.p.slots.committed(first)
	err := w.Store(first, pages)
	after := m.p.Stats()
	stored := after.Stores - before.Stores
	m.seen.Pages += int(stored)
	for i := range stored {
		page := newModelPage(pages[i*PageSize:][:PageSize])
		if m.pages[first+i] = page; err == nil && page.needsObject() && m.p.full.Load() {
			t.Fatal("full, but an object was taken")
		}
	}
	m.verify(t, w, first, n) // the refused page's slot and those after it are as they were

	// A page takes at most two frames. Then there are slot table, handles, headers, descriptors, and what is committed
	// ahead: 1/64 of what there is.
	most := int64(2*n+10)*PageSize + before.LimitBytes/64
	threshold := before.LimitBytes / 100 * int64(m.o.AcceptThresholdPercent)
	mayRefuse := full && inUse+most > threshold || inUse+most > before.LimitBytes
	mustRefuse := full && inUse > threshold && one.needsObject() && m.o.Compactor == nil
	isFull := m.p.full.Load() || m.p.zs.InUse() <= threshold // the compactor may have been quick
	switch {
	case err == nil && stored == n && !mustRefuse:
	case err == ErrFull && stored < n && mayRefuse && isFull && after.RejectedFull == before.RejectedFull+1:
		m.seen.Full++
		if after.PoolLimitHit == before.PoolLimitHit {
			m.seen.Threshold++
			if !full {
				t.Fatal("refused because of the threshold, without a limit that was hit")
			}
		}
		if refused := newModelPage(pages[stored*PageSize:][:PageSize]); stored == 0 && tableThere && !refused.needsObject() {
			t.Fatal("a page that takes no memory was refused")
		}
	default:
		t.Fatalf("%d of %d pages stored: %v; full %t, %d bytes in use, %d ready, limit %d, threshold %d", stored, n, err,
			full, inUse, before.MemoryBytes-inUse, before.LimitBytes, threshold)
	}
	return err
}

func (m *model) load(t *rapid.T) {
	first, n := m.span(t)
	m.verify(t, m.worker(t), first, n)
}

// verify loads slots and compares.
func (m *model) verify(t *rapid.T, w *Worker, first, n uint64) {
	t.Helper()
	got := bytes.Repeat([]byte{0xa5}, int(n)*PageSize)
	noErr(t, w.Load(first, got))
	for i := range n {
		want := m.pages[first+i] // zeros for an empty slot
		if !bytes.Equal(got[i*PageSize:][:PageSize], want.bytes[:]) {
			t.Fatalf("slot %d: not the page that was stored", first+i)
		}
	}
}

func (m *model) invalidate(t *rapid.T) {
	first, n := m.span(t)
	if rapid.Bool().Draw(t, "more") {
		n = rapid.Uint64Range(n, m.slots-first).Draw(t, "n")
	}
	m.invalidateSlots(t, m.worker(t), first, n)
}

// thinOut invalidates every so-manieth slot, which leaves holes in zspages all over the pool.
func (m *model) thinOut(t *rapid.T) {
	first, _ := m.span(t)
	w, every := m.worker(t), rapid.Uint64Range(2, 5).Draw(t, "every")
	for slot := first; slot < m.slots; slot += every {
		m.invalidateSlots(t, w, slot, 1)
	}
}

func (m *model) invalidateSlots(t *rapid.T, w *Worker, first, n uint64) {
	before, there := w.invalidated.Load(), len(m.pages)
	noErr(t, w.Invalidate(first, n))
	for slot := first; slot < first+n; slot++ {
		delete(m.pages, slot)
	}
	if did := w.invalidated.Load() - before; did != uint64(there-len(m.pages)) {
		t.Fatalf("%d pages invalidated, want %d", did, there-len(m.pages))
	}
}

func (m *model) compact(t *rapid.T) {
	budget := rapid.IntRange(1, 100_000).Draw(t, "budget")
	for range rapid.IntRange(1, 20).Draw(t, "steps") {
		inUse := m.p.zs.InUse()
		r, more := m.p.Compact(budget)
		m.seen.Moved += r.Objects
		if now := m.p.zs.InUse(); r.Bytes >= budget+PageSize || r.Skipped > 0 || now > inUse+zsmalloc.MaxChain*PageSize {
			t.Fatalf("%+v with a budget of %d; %d bytes before, %d after", r, budget, inUse, now)
		}
		if !more {
			return
		}
	}
}

// setMaxBytes leaves room for so many frames more than are in use, or takes away what is there too much.
func (m *model) setMaxBytes(t *rapid.T) {
	frames := rapid.SampledFrom([]int64{-20, 0, 1, 2, 5, 20, 100, 500}).Draw(t, "frames")
	n := min(max(m.p.Stats().MemoryBytes+frames*PageSize, MinBytes), m.o.CeilingBytes)
	noErr(t, m.p.SetMaxBytes(n))
	m.limit = n
	m.most = max(n, m.p.Stats().MemoryBytes)
	m.peak = max(m.peak, m.most)
}

// reopenAll closes the pool, as it would be handed over, or leaves what a killed process leaves, and opens its store.
func (m *model) reopenAll(t *rapid.T) {
	if rapid.Bool().Draw(t, "killed") {
		m.leaveGarbage()
	}
	ceiling := m.o.CeilingBytes
	before := m.p.Stats()
	m.seen.Promoted += int(before.Promoted)
	old, file := m.p, m.copyOfBacking(t)
	m.p = nil
	m.o = drawOptions(t, ceiling)
	m.o.CeilingBytes, m.o.Backing = ceiling, file
	p, rec, err := reopenIn(old, m.o)
	noErr(t, err)
	m.use(p)
	m.seen.Reopened++
	if rec.Pages != uint64(len(m.pages)) || rec.Lost != 0 {
		t.Fatalf("recovered %+v of %d pages", rec, len(m.pages))
	}
	if after := p.Stats(); after.MemoryBytes > before.MemoryBytes || after.CompressedBytes != before.CompressedBytes || after.ColdPages != before.ColdPages || after.IncompressiblePages != before.IncompressiblePages {
		t.Fatalf("before: %d bytes, %d compressed, %d pages raw; after: %d, %d, %d",
			before.MemoryBytes, before.CompressedBytes, before.IncompressiblePages,
			after.MemoryBytes, after.CompressedBytes, after.IncompressiblePages)
	}
}

// leaveGarbage leaves behind what operations that were under way do: locks, pins, an object without a slot.
func (m *model) leaveGarbage() {
	m.p.zs.StopCompactor()
	pinned := map[zsmalloc.Handle]bool{}
	for i, slot := range slices.Sorted(maps.Keys(m.pages)) {
		at := m.p.slots.word(slot)
		w := word(at.Load())
		if w.kind() == kindObject && i%3 == 0 {
			_, _, _ = m.p.zs.Pin(w.handle())
		}
		if h := w.handle(); w.kind() == kindMember && !pinned[h] && h%3 > 0 {
			object, _, err := m.p.zs.Pin(h)
			if pinned[h] = true; err != nil {
				panic(err)
			}
			object = object[:w.length()]
			if h%3 == 1 { // whoever left it last was killed before it could say so
				setLive(object, h, windowOf(slot), membersOf(object), membersOf(object))
				m.p.zs.Unpin(h)
			}
		}
		if i%2 == 0 {
			at.Or(lockBit)
		}
	}
	_, _ = m.p.zs.Put([]byte("garbage"), 1)
}

// reopenIn closes a pool and opens its store: by its file, or in race builds, where there is none, as it is.
func reopenIn(p *Pool, o Options) (*Pool, Recovered, error) {
	if p.File() == nil {
		if err := p.zs.Close(); err != nil {
			return nil, Recovered{}, err
		}
		p.a.Budget().SetLimit(math.MaxInt64)
		return openIn(p.a, o)
	}
	fd, err := unix.FcntlInt(p.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, Recovered{}, err
	}
	return Open(os.NewFile(uintptr(fd), "store"), o)
}

// check walks the whole pool, which stops the compactor.
func (m *model) check(t *rapid.T) {
	noErr(t, m.p.Check())
	if m.o.Compactor != nil {
		m.p.zs.StartCompactor(*m.o.Compactor)
	}
}

// invariants hold between any two operations.
func (m *model) invariants(t *rapid.T) {
	same := int64(0)
	for _, page := range m.pages {
		if page.same {
			same++
		}
	}
	s := m.p.Stats()
	if s.StoredPages != int64(len(m.pages)) || s.SameFilledPages != same {
		t.Fatalf("%d pages stored, %d same-filled; the model has %d, %d", s.StoredPages, s.SameFilledPages, len(m.pages), same)
	}
	if s.Corrupt != 0 || s.RejectedAllocFail != 0 {
		t.Fatalf("%d pages damaged, %d refused for lack of memory", s.Corrupt, s.RejectedAllocFail)
	}
	if s.MemoryBytes > m.most || s.PeakMemoryBytes > m.peak || s.LimitBytes != m.limit {
		t.Fatalf("%d bytes taken, at most %d, limit %d; allowed are %d, %d, limit %d",
			s.MemoryBytes, s.PeakMemoryBytes, s.LimitBytes, m.most, m.peak, m.limit)
	}
	m.most = max(s.LimitBytes, s.MemoryBytes) // what was given back above a lowered limit is not taken again
}

// end looks at every slot, walks the pool, empties it, and closes it: nothing is left.
func (m *model) end(t *rapid.T) {
	m.verify(t, m.worker(t), 0, m.slots)
	noErr(t, m.p.Check())
	noErr(t, m.worker(t).Invalidate(0, m.slots))
	clear(m.pages)
	m.invariants(t)
	noErr(t, m.p.Check())
	p := m.p
	m.p = nil
	noErr(t, p.Close())
	if n := p.a.Budget().Used(); n != 0 {
		t.Errorf("%d bytes leaked", n)
	}
}
