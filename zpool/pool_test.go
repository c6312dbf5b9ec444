package zpool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/zsmalloc"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes one from the clock")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run '%s' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func noErr(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newTestPool(t testing.TB, o Options) *Pool {
	t.Helper()
	if o.Slots == 0 {
		o.Slots = 1 << 14
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 16 << 20
	}
	p, err := New(o)
	noErr(t, err)
	t.Cleanup(func() { checkAndClose(t, p) })
	return p
}

func checkAndClose(t testing.TB, p *Pool) {
	t.Helper()
	noErr(t, p.Check())
	noErr(t, p.Close())
	if n := p.a.Budget().Used(); n != 0 {
		t.Errorf("%d bytes leaked", n)
	}
}

// kinds of pages, by how they are kept.
const pageKinds = 7

// makePage fills a page with what follows from seed; kind says how it compresses.
func makePage(page []byte, kind int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(kind)))
	clear(page)
	switch kind {
	case 0: // zeros
	case 1: // 4-byte pattern
		fillPage(page, uint64(uint32(seed))<<32|uint64(uint32(seed)))
	case 2: // 8-byte pattern
		fillPage(page, seed*0x9e3779b97f4a7c15|1)
	case 3: // noise
		for i := 0; i < PageSize; i += 8 {
			binary.LittleEndian.PutUint64(page[i:], r.Uint64())
		}
	case 4: // pointers
		for i := 0; i < PageSize; i += 8 {
			binary.LittleEndian.PutUint64(page[i:], 0x7f12_3400_0000+r.Uint64N(1<<16)*16)
		}
	case 5: // sparse
		for range 20 {
			page[r.IntN(PageSize)] = byte(r.Uint32())
		}
	default: // text
		copy(page, strings.Repeat(fmt.Sprintf("the page %d of the %d ", seed, r.Uint32()), 200))
	}
}

func TestEveryKindOfPageRoundTrips(t *testing.T) {
	for _, codec := range append(compressor.Names(), "") {
		p := newTestPool(t, Options{Compressor: codec, Slots: 4096})
		w := p.NewWorker()
		pages, got := make([]byte, 16*PageSize), make([]byte, 16*PageSize)
		for i := range 16 {
			makePage(pages[i*PageSize:][:PageSize], i%pageKinds, uint64(i))
		}
		noErr(t, w.Store(100, pages))
		noErr(t, w.Load(100, got))
		if !bytes.Equal(got, pages) {
			t.Errorf("%s: pages changed", codec)
		}
		noErr(t, w.Load(99, got[:3*PageSize]))
		if !bytes.Equal(got[:PageSize], make([]byte, PageSize)) || !bytes.Equal(got[PageSize:3*PageSize], pages[:2*PageSize]) {
			t.Errorf("%s: an empty slot before pages", codec)
		}
		s := p.Stats()
		if s.StoredPages != 16 || s.SameFilledPages != 3*2+2 || s.IncompressiblePages < 2 {
			t.Errorf("%s: stored %d, same-filled %d, incompressible %d", codec, s.StoredPages, s.SameFilledPages, s.IncompressiblePages)
		}
		noErr(t, w.Invalidate(0, 4096))
		if s := p.Stats(); s.StoredPages != 0 || s.CompressedBytes != 0 || s.Invalidated != 16 {
			t.Errorf("%s: after invalidation %+v", codec, s.StoredPages)
		}
	}
}

func TestOutOfRange(t *testing.T) {
	p := newTestPool(t, Options{Slots: 100})
	w := p.NewWorker()
	page := make([]byte, 2*PageSize)
	for _, first := range []uint64{99, 100, 1 << 63, 1<<64 - 1} {
		if err := errors.Join(w.Store(first, page), w.Load(first, page), w.Invalidate(first, 2)); !errors.Is(err, ErrRange) || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("first %d: %v", first, err)
		}
	}
	if err := w.Invalidate(0, 1<<64-1); !errors.Is(err, ErrRange) {
		t.Errorf("Invalidate of everything there is: %v", err)
	}
}

// A full pool refuses at once and changes nothing; it accepts again below the threshold.
func TestFullPool(t *testing.T) {
	p := newTestPool(t, Options{MaxBytes: 4 << 20, AcceptThresholdPercent: 80})
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	stored := uint64(0)
	for ; ; stored++ {
		makePage(page, 3, stored)
		if err := w.Store(stored, page); err != nil {
			if err != ErrFull {
				t.Fatal(err)
			}
			break
		}
	}
	if s := p.Stats(); s.MemoryBytes > 4<<20 || s.PeakMemoryBytes > 4<<20 || s.MemoryBytes < 4<<20-64<<10 || s.PoolLimitHit == 0 || s.RejectedFull == 0 {
		t.Errorf("full at %d of %d bytes, peak %d, hits %d", s.MemoryBytes, 4<<20, s.PeakMemoryBytes, s.PoolLimitHit)
	}
	makePage(page, 3, 12345)
	if err := w.Store(0, page); err != ErrFull {
		t.Errorf("overwriting in a full pool: %v", err)
	}
	for slot := range stored { // nothing is lost, the page that was to be overwritten included
		makePage(page, 3, slot)
		noErr(t, w.Load(slot, got))
		if !bytes.Equal(page, got) {
			t.Fatalf("slot %d changed", slot)
		}
	}
	clear(page)
	noErr(t, w.Store(stored, page)) // takes no memory, so it is taken
	makePage(page, 3, 999)
	freed := uint64(0)
	for ; w.Store(stored+1, page) != nil; freed++ {
		noErr(t, w.Invalidate(freed, 1))
	}
	if percent := 100 * freed / stored; percent < 15 || percent > 25 {
		t.Errorf("accepts again after %d %% were freed, threshold 80", percent)
	}
}

// Frames that were freed and kept ready are not lost to the slot table.
func TestReadyFramesAreForTheSlotTable(t *testing.T) {
	p := newTestPool(t, Options{MaxBytes: 1 << 20, AcceptThresholdPercent: 100})
	w := p.NewWorker()
	page := make([]byte, PageSize)
	slot := uint64(0)
	for makePage(page, 3, 1); w.Store(slot, page) == nil; slot++ {
	}
	noErr(t, w.Invalidate(0, 20))
	if err := w.Store(slotsPerFrame, page); err != nil {
		t.Errorf("refused with %d bytes in use of %d: %v", p.zs.InUse(), 1<<20, err)
	}
}

// Damage anywhere in an object is found, and told apart from an empty slot.
func TestDamageIsFound(t *testing.T) {
	p := newTestPool(t, Options{})
	w := p.NewWorker()
	page := make([]byte, PageSize)
	for _, kind := range []int{2, 3, 4, 5, 6} {
		makePage(page, kind, 7)
		noErr(t, w.Store(5, page))
		h := word(p.slots.word(5).Load()).handle()
		object, _, err := p.zs.Pin(h)
		noErr(t, err)
		object[3] ^= 4
		p.zs.Unpin(h)
		if err := w.Load(5, page); !errors.Is(err, ErrCorrupt) {
			t.Errorf("kind %d: damaged object: %v", kind, err)
		}
		object[3] ^= 4
		noErr(t, w.Load(5, page))
		noErr(t, w.Invalidate(5, 1))
	}
	if s := p.Stats(); s.Corrupt != 5 {
		t.Errorf("%d pages counted as damaged, want 5", s.Corrupt)
	}
}

// Any one flipped bit of a slot word is found, but for those that say nothing: the lock; the age; the unused bits of an
// object's.
func TestDamagedSlotWords(t *testing.T) {
	for kind := range pageKinds {
		p := newTestPool(t, Options{})
		w := p.NewWorker()
		page, got := make([]byte, PageSize), make([]byte, PageSize)
		makePage(page, kind, 77)
		noErr(t, w.Store(5, page))
		at := p.slots.word(5)
		for bit := 1; bit < 64; bit++ {
			old := at.Load()
			at.Store(old ^ 1<<bit)
			if err := w.Load(5, got); err == nil && (1<<bit&ageMask == 0 && word(old).kind() == kindSameFilled || !bytes.Equal(got, page)) {
				t.Errorf("kind %d: served with bit %d flipped", kind, bit)
			}
			at.Store(old)
		}
	}
}

// Workers on the same few slots: a load sees a page that was stored whole, never a mixture, while compaction runs.
func TestConcurrentWorkers(t *testing.T) {
	p := newTestPool(t, Options{Slots: 64})
	var stop atomic.Bool
	var background, users sync.WaitGroup
	background.Go(func() {
		for !stop.Load() {
			p.Compact(16 << 10)
			time.Sleep(10 * time.Microsecond)
		}
	})
	r := newRand(t)
	for range 4 {
		r := rand.New(rand.NewPCG(r.Uint64(), 2))
		w := p.NewWorker()
		users.Go(func() {
			page := make([]byte, PageSize)
			for range 5000 {
				slot := r.Uint64N(64)
				switch r.IntN(5) {
				case 0, 1:
					stamp(page, slot, r.Uint64())
					if err := w.Store(slot, page); err != nil {
						t.Error(err)
					}
				case 2:
					if err := w.Invalidate(slot, 1); err != nil {
						t.Error(err)
					}
				default:
					if err := errors.Join(w.Load(slot, page), checkStamp(page, slot)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	users.Wait()
	stop.Store(true)
	background.Wait()
}

// stamp makes a page that says which slot it is of, and whose parts agree on a value.
func stamp(page []byte, slot, value uint64) {
	for i := 0; i < PageSize; i += 16 {
		binary.LittleEndian.PutUint64(page[i:], value+uint64(i)*(value&1))
		binary.LittleEndian.PutUint64(page[i+8:], slot)
	}
}

func checkStamp(page []byte, slot uint64) error {
	value, want := binary.LittleEndian.Uint64(page), make([]byte, PageSize)
	if stamp(want, slot, value); bytes.Equal(page, want) || bytes.Equal(page, make([]byte, PageSize)) {
		return nil
	}
	return fmt.Errorf("slot %d holds a page that nobody stored", slot)
}

// What was stored is there again after the process is gone, and nothing else takes memory.
func TestReopen(t *testing.T) {
	r := newRand(t)
	p, err := New(Options{Slots: 1 << 14, MaxBytes: 16 << 20})
	noErr(t, err)
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	want := map[uint64][2]uint64{}
	for range 6000 {
		slot, key := r.Uint64N(3000), [2]uint64{r.Uint64N(pageKinds), r.Uint64()}
		if r.IntN(4) == 0 {
			noErr(t, w.Invalidate(slot, 1))
			delete(want, slot)
			continue
		}
		makePage(page, int(key[0]), key[1])
		noErr(t, w.Store(slot, page))
		want[slot] = key
	}
	// What operations that were under way leave behind: an object without a slot, a pin, locks.
	_, err = p.zs.Malloc(1000, 1)
	noErr(t, err)
	locked := 0
	for slot := range want {
		at := p.slots.word(slot)
		if w := word(at.Load()); w.kind() == kindObject && locked%2 == 0 {
			_, _, err := p.zs.Pin(w.handle())
			noErr(t, err)
		}
		at.Or(lockBit)
		if locked++; locked == 20 {
			break
		}
	}
	noErr(t, p.zs.Close())

	before := p.Stats()
	p, rec, err := openIn(p.a, Options{MaxBytes: 16 << 20})
	noErr(t, err)
	defer checkAndClose(t, p)
	if rec.Pages != uint64(len(want)) || rec.Lost != 0 {
		t.Fatalf("recovered %+v of %d pages", rec, len(want))
	}
	noErr(t, p.Check())
	after := p.Stats()
	if after.StoredPages != before.StoredPages || after.CompressedBytes != before.CompressedBytes || after.SameFilledPages != before.SameFilledPages {
		t.Errorf("before: %d pages, %d bytes; after: %d, %d", before.StoredPages, before.CompressedBytes, after.StoredPages, after.CompressedBytes)
	}
	w = p.NewWorker()
	for slot, key := range want {
		makePage(page, int(key[0]), key[1])
		noErr(t, w.Load(slot, got))
		if !bytes.Equal(page, got) {
			t.Fatalf("slot %d changed", slot)
		}
		makePage(page, 4, slot)
		noErr(t, w.Store(slot, page))
	}
}

// A process that has no memory to open a store with says so, and loses nothing: the next one finds every page.
func TestReopenWithoutMemory(t *testing.T) {
	p, err := New(Options{Slots: 1 << 12, MaxBytes: 16 << 20})
	noErr(t, err)
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for slot := range uint64(1000) {
		makePage(page, int(slot%pageKinds), slot)
		noErr(t, w.Store(slot, page))
	}
	noErr(t, p.zs.Close())
	a, refused := p.a, 0
	for frames := int64(0); ; frames++ { // one frame more each time, until it is enough
		a.Budget().SetLimit(a.Budget().Used() + frames*4096)
		var rec Recovered
		if p, rec, err = openIn(a, Options{MaxBytes: 16 << 20}); err != nil {
			refused++
			continue
		}
		if rec.Pages != 1000 || rec.Lost != 0 {
			t.Fatalf("with %d frames, after %d refusals: %+v", frames, refused, rec)
		}
		break
	}
	if refused < 3 {
		t.Errorf("refused %d times: the test did not test", refused)
	}
	defer checkAndClose(t, p)
	w = p.NewWorker()
	for slot := range uint64(1000) {
		makePage(page, int(slot%pageKinds), slot)
		noErr(t, w.Load(slot, got))
		if !bytes.Equal(page, got) {
			t.Fatalf("slot %d changed", slot)
		}
	}
}

// Damage in tables costs the pages that it hits, which are reported as lost, and no other.
func TestReopenDamaged(t *testing.T) {
	p, err := New(Options{Slots: 1 << 14, MaxBytes: 16 << 20})
	noErr(t, err)
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for slot := range uint64(200) {
		makePage(page, int(slot%pageKinds), slot)
		noErr(t, w.Store(slot, page))
	}
	p.slots.word(4).Store(uint64(objectWord(1<<30, compressor.MinLZ, 100)))      // a handle that never was
	p.slots.word(11).Store(p.slots.word(18).Load())                              // another slot's object
	p.slots.word(1).Store(p.slots.word(1).Load() ^ 1<<40)                        // another pattern
	p.slots.word(5).Store(p.slots.word(5).Load()&^(7<<kindShift) | 5<<kindShift) // no kind at all
	noErr(t, p.zs.Close())
	p, rec, err := openIn(p.a, Options{MaxBytes: 16 << 20})
	noErr(t, err)
	defer func() {
		noErr(t, p.Close())
	}()
	if rec.Pages != 200 || rec.Lost != 4 {
		t.Errorf("recovered %+v, want 200 pages, 4 lost", rec)
	}
	w = p.NewWorker()
	damaged := 0
	for slot := range uint64(200) {
		makePage(page, int(slot%pageKinds), slot)
		if err := w.Load(slot, got); errors.Is(err, ErrCorrupt) {
			damaged++
		} else if err != nil || !bytes.Equal(page, got) {
			t.Errorf("slot %d: %v or wrong bytes", slot, err)
		}
	}
	if damaged != 4 { // slots 11 and 18 name one object, and it is 18's
		t.Errorf("%d pages damaged, want 4", damaged)
	}
	noErr(t, w.Invalidate(0, 1<<14))
	noErr(t, p.Check())
}

func TestOpenRefuses(t *testing.T) {
	p, err := New(Options{Slots: 1000, MaxBytes: 1 << 20})
	noErr(t, err)
	noErr(t, p.zs.Close())
	defer p.a.Close()
	sb := p.a.Bytes(0, superblockSize)
	for name, offset := range map[string]int{"magic": 0, "version": 8, "page size": 12, "slots": 16, "chain": 32, "checksum": 44} {
		sb[offset] ^= 1
		if _, _, err := openIn(p.a, Options{MaxBytes: 1 << 20}); err == nil {
			t.Errorf("a store with another %s was opened", name)
		}
		sb[offset] ^= 1
	}
	s := p.super
	s.slots *= 1 << 10
	s.encode(sb)
	if _, _, err := openIn(p.a, Options{MaxBytes: 1 << 20}); err == nil {
		t.Error("a store of another size was opened")
	}
}

func TestOptionsSayAllThatIsWrong(t *testing.T) {
	_, err := New(Options{MaxBytes: 1, AcceptThresholdPercent: 101})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three problems, got: %v", err)
	}
	if _, err := New(Options{Slots: 10, MaxBytes: 1 << 20, Compressor: "lzma"}); err == nil || !strings.Contains(err.Error(), "lzma") {
		t.Errorf("unknown codec: %v", err)
	}
}

func TestNoAllocationsOnThePathOfAPage(t *testing.T) {
	p := newTestPool(t, Options{Compactor: &zsmalloc.CompactorOptions{}})
	w := p.NewWorker()
	page := make([]byte, PageSize)
	for kind := range pageKinds {
		slot := uint64(0)
		if n := testing.AllocsPerRun(1000, func() {
			slot = (slot + 1) % 2000
			makePageNoAlloc(page, kind, slot)
			if w.Store(slot, page) != nil || w.Load(slot, page) != nil || slot%3 == 0 && w.Invalidate(slot, 1) != nil {
				t.Fatal("failed")
			}
		}); n != 0 {
			t.Errorf("kind %d: %v allocations per page", kind, n)
		}
	}
}

// makePageNoAlloc varies one word, so that the test itself does not allocate.
func makePageNoAlloc(page []byte, kind int, seed uint64) {
	if seed == 1 {
		makePage(page, kind, 1)
	}
	binary.LittleEndian.PutUint64(page[8*(seed%512):], seed)
}
