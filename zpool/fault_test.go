package zpool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/arena"
)

// faults makes a few calls to the system fail: those of one kind from first to last, counted from 1.
type faults struct {
	op          arena.Op
	first, last int
	off         bool
	calls       int // of that kind
	failed      int
}

var faultErrors = map[arena.Op]error{arena.OpCommit: unix.ENOMEM, arena.OpRelease: unix.EIO, arena.OpResident: unix.EIO}

func (f *faults) fail(op arena.Op, _, _ int64) error {
	if f.off || op != f.op {
		return nil
	}
	if f.calls++; f.calls < f.first || f.calls > f.last {
		return nil
	}
	f.failed++
	return faultErrors[op]
}

// without runs what the test needs for itself.
func (f *faults) without(run func() error) error {
	old := f.off
	f.off = true
	defer func() { f.off = old }()
	return run()
}

// TestFaults runs a script of operations again and again; each call to the system fails in one of the runs, alone or with
// the next few. No page is lost, what is refused changes nothing and is counted, no frame is forgotten, and a store that
// could not be opened can be opened later.
func TestFaults(t *testing.T) {
	every := 1
	p := newTestPool(t, Options{})
	if p.File() == nil {
		every = 13 // Go memory, as race builds have it, takes long to make
	}
	for op, name := range map[arena.Op]string{arena.OpCommit: "commit", arena.OpRelease: "release", arena.OpResident: "resident"} {
		for _, row := range []int{1, 7} {
			if row > 1 && op == arena.OpResident {
				continue // a pool that is given up, too, must be told what to give back
			}
			step := every
			if op == arena.OpResident { // there are few
				step = 1
			}
			t.Run(fmt.Sprintf("%s,%d", name, row), func(t *testing.T) {
				runs, stores, opens, packed := 0, 0, 0, 0
				for failed := true; failed && !t.Failed(); runs++ {
					first := runs*max(row, step) + 1
					s := &faultScript{t: t, f: &faults{op: op, first: first, last: first + row - 1}}
					s.play()
					failed, stores, opens = s.f.failed > 0, stores+s.refusedStores, opens+s.refusedOpens
					packed += s.packed
				}
				t.Logf("%d runs, %d refused stores, %d refused opens, %d pages packed", runs, stores, opens, packed)
				if runs < 3 || packed < 20*runs || step == 1 && (opens == 0 && row == 1 || (stores == 0) != (op != arena.OpCommit)) {
					t.Error("the test did not test")
				}
			})
		}
	}
}

// faultScript is one run.
type faultScript struct {
	t                           *testing.T
	f                           *faults
	p                           *Pool
	w                           *Worker
	store                       *os.File          // the pool's, nil for Go memory
	want                        map[uint64]uint64 // slot → content
	page, got                   []byte
	noMemory, full              uint64 // refusals since the pool was opened
	packed                      int    // pages
	refusedStores, refusedOpens int    // in all, by the fault
}

// lz4, because it is ready at once; others take some milliseconds to make.
var faultOptions = Options{Slots: 6 * slotsPerFrame, MaxBytes: MinBytes, Compressor: "lz4", RecompressCodec: "s2"}

func (s *faultScript) play() {
	undo := arena.SetFault(s.f.fail)
	defer undo()
	before := mapped(s.t)
	noErr(s.t, s.f.without(func() (err error) { s.p, err = New(faultOptions); return err }))
	s.want, s.page, s.got = map[uint64]uint64{}, make([]byte, PageSize), make([]byte, PageSize)
	s.begin()
	if s.p.File() != nil {
		s.store = dup(s.t, s.p.File())
	}
	const pattern, noise, zeros = 9, 10, 14 // sorts of pages, beside the two that have a name
	s.put(0, pattern, 550)                  // handles for more than a frame of their table
	s.put(600, sortLong, 17)                // a zspage of 15 frames, and one more
	s.invalidate(600, 16)                   //
	s.put(600, sortShort, 16)               // 9 of the frames will do
	s.put(1000, zeros, 100)                 // only the slot table grows
	s.put(590, sortLong, 20)                // over some of the others
	s.pack()
	s.compact()
	s.reopen()
	s.put(2000, noise, 80) // more than there can be
	s.put(2010, noise, 5)  // over pages that are there, and is refused
	s.invalidate(2000, 70)
	s.put(2000, sortLong, 30)
	s.pack()
	s.put(60, 1, 40) // 400 bytes each
	s.pack()
	s.invalidate(62, 20)
	s.invalidate(300, 2000)
	s.pack()
	s.compact()
	s.reopen()
	s.put(100, sortShort, 3)
	s.f.off = true
	noErr(s.t, s.check())
	s.reopen()
	noErr(s.t, s.check())
	checkAndClose(s.t, s.p)
	if s.store != nil {
		noErr(s.t, s.store.Close())
	}
	if n := mapped(s.t); n != before {
		s.t.Errorf("%d arenas mapped before, %d after", before, n)
	}
}

// mapped returns how many arenas this process has mapped.
func mapped(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	noErr(t, err)
	return bytes.Count(maps, []byte("/memfd:z"))
}

// begin works on a pool that was just opened. Its limit is low.
func (s *faultScript) begin() {
	s.w, s.noMemory, s.full = s.p.NewWorker(), 0, 0
	s.p.a.Budget().SetLimit(90 * arena.FrameSize)
}

// ended looks at everything, if the operation just done met a fault.
func (s *faultScript) ended(failed int) {
	s.t.Helper()
	if s.f.failed != failed {
		noErr(s.t, s.f.without(s.check))
	}
}

// put stores n pages one by one, of a sort as crashPage has them, or is refused.
func (s *faultScript) put(first, sort, n uint64) {
	s.t.Helper()
	for slot := first; slot < first+n; slot++ {
		failed, content := s.f.failed, slot<<12|sort<<8|uint64(len(s.want)&0xff)
		crashPage(s.page, content)
		switch err := s.w.Store(slot, s.page); err {
		case nil:
			s.want[slot] = content
		case ErrNoMemory:
			s.noMemory++
			s.refusedStores++
		case ErrFull:
			s.full++
		default:
			s.t.Fatal(err)
		}
		noErr(s.t, s.checkSlot(slot))
		s.ended(failed)
	}
}

func (s *faultScript) invalidate(first, n uint64) {
	s.t.Helper()
	failed := s.f.failed
	for slot := first; slot < first+n; slot++ {
		delete(s.want, slot)
	}
	noErr(s.t, s.w.Invalidate(first, n))
	s.ended(failed)
}

// pack packs all that is idle. What there is no memory for stays as it is.
func (s *faultScript) pack() {
	s.t.Helper()
	failed := s.f.failed
	s.p.Tick()
	for more := true; more; {
		var err error
		var did Recompressed
		did, more, err = s.p.Recompress(0, 50)
		noErr(s.t, err)
		s.packed += int(did.Pages)
	}
	s.ended(failed)
}

func (s *faultScript) compact() {
	s.t.Helper()
	failed, calls := s.f.failed, s.f.calls
	for more := true; more; {
		_, more = s.p.Compact(20_000)
	}
	if s.f.op == arena.OpCommit && s.f.calls != calls {
		s.t.Error("compaction takes memory")
	}
	s.ended(failed)
}

// checkSlot compares a page.
func (s *faultScript) checkSlot(slot uint64) error {
	if err := s.w.Load(slot, s.got); err != nil {
		return err
	}
	if crashPage(s.page, s.want[slot]); !bytes.Equal(s.page, s.got) {
		return fmt.Errorf("slot %d changed", slot)
	}
	return nil
}

// check checks the pool, its counters, and every page.
func (s *faultScript) check() error {
	for slot := range s.want {
		if err := s.checkSlot(slot); err != nil {
			return err
		}
	}
	if st := s.p.Stats(); st.RejectedAllocFail != s.noMemory || st.RejectedFull != s.full || st.Corrupt != 0 || st.StoredPages != int64(len(s.want)) {
		return fmt.Errorf("%d pages, %d refused for memory, %d by the limit; the counters say %d, %d, %d, and %d damaged",
			len(s.want), s.noMemory, s.full, st.StoredPages, st.RejectedAllocFail, st.RejectedFull, st.Corrupt)
	}
	return s.p.Check()
}

// reopen gives the pool up and opens its store again, if need be not at once.
func (s *faultScript) reopen() {
	s.t.Helper()
	a := s.p.a
	noErr(s.t, s.f.without(func() error {
		if s.store == nil {
			return s.p.zs.Close()
		}
		return s.p.Close()
	}))
	for {
		var rec Recovered
		var err error
		failed := s.f.failed
		if s.store == nil {
			s.p, rec, err = openIn(a, faultOptions)
		} else {
			s.p, rec, err = Open(dup(s.t, s.store), faultOptions)
		}
		if err == nil {
			if rec.Pages != uint64(len(s.want)) || rec.Lost != 0 {
				s.t.Fatalf("recovered %+v of %d pages, after %d refusals", rec, len(s.want), s.refusedOpens)
			}
			s.begin()
			s.ended(failed)
			return
		}
		if s.refusedOpens++; s.f.failed == failed || !errors.Is(err, faultErrors[s.f.op]) {
			s.t.Fatalf("the store cannot be opened: %v", err)
		}
	}
}

// A pool that cannot be made leaves nothing behind.
func TestNewWithoutMemory(t *testing.T) {
	before, refused := mapped(t), 0
	for failed := true; failed; {
		f := &faults{op: arena.OpCommit, first: refused + 1, last: refused + 1}
		undo := arena.SetFault(f.fail)
		p, err := New(faultOptions)
		undo()
		if failed = f.failed > 0; !failed {
			checkAndClose(t, p)
		} else if refused++; !errors.Is(err, unix.ENOMEM) {
			t.Errorf("without memory: %v", err)
		}
	}
	if n := mapped(t); refused < 2 || n != before {
		t.Errorf("%d refusals; %d arenas mapped before, %d after", refused, before, n)
	}
}

// poor is a codec that says, and has made, what a test wants of a page that it cannot make smaller.
type poor struct {
	compressor.Codec
	n int
}

func (c poor) Compress(dst, src []byte) int {
	for i := range dst { // it may leave anything there
		dst[i] = 0xa5
	}
	return c.n
}

// A page that its codec does not shrink, or not enough for a smaller class, is kept as it is.
func TestPoorCompression(t *testing.T) {
	p := newTestPool(t, Options{})
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	codec, raw := w.codec, int64(0)
	for i, n := range []int{0, w.raw, w.raw + 1, PageSize - 1, PageSize, PageSize + 1, len(w.buf)} {
		w.codec = poor{codec, n}
		makePage(page, 3, uint64(i))
		noErr(t, w.Store(uint64(i), page))
		noErr(t, w.Load(uint64(i), got))
		if raw++; !bytes.Equal(page, got) || p.Stats().IncompressiblePages != raw || p.Stats().CompressedBytes != raw*PageSize {
			t.Errorf("an object of %d bytes: %+v", n, p.Stats())
		}
	}
	// The same with the codec itself: noise, and zeros at the end, around the size where it no longer pays.
	w.codec = codec
	buf, smaller := make([]byte, codec.MaxLen(PageSize)), 0
	for n := 3600; n <= PageSize; n++ {
		makePage(page, 3, uint64(n))
		clear(page[n:])
		noErr(t, w.Store(uint64(n), page))
		noErr(t, w.Load(uint64(n), got))
		if !bytes.Equal(page, got) {
			t.Fatalf("noise of %d bytes: the page changed", n)
		}
		if length := codec.Compress(buf, page); length == 0 || length >= w.raw {
			raw++
		} else if smaller++; word(p.slots.word(uint64(n)).Load()).length() != length {
			t.Errorf("noise of %d bytes: kept in %d bytes, want %d", n, word(p.slots.word(uint64(n)).Load()).length(), length)
		}
	}
	if st := p.Stats(); st.IncompressiblePages != raw || raw < 100 || smaller < 100 {
		t.Errorf("%d incompressible pages, want %d, and %d others", st.IncompressiblePages, raw, smaller)
	}
}

// A flipped bit anywhere in an object is found and counted, and its slot can be used again.
func TestFlippedBits(t *testing.T) {
	r := newRand(t)
	p := newTestPool(t, Options{})
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	flips := uint64(0)
	for content := range uint64(16 * 20) {
		content = content<<8 | 1
		slot := content >> 8
		crashPage(page, content)
		noErr(t, w.Store(slot, page))
		old := word(p.slots.word(slot).Load())
		if old.kind() != kindObject {
			continue
		}
		object, _, err := p.zs.Pin(old.handle())
		noErr(t, err)
		bit := r.IntN(8 * old.length())
		object[bit/8] ^= 1 << (bit % 8)
		p.zs.Unpin(old.handle())
		if err := w.Load(slot, got); !errors.Is(err, ErrCorrupt) {
			t.Errorf("content %#x, bit %d of %d bytes flipped: %v", content, bit, old.length(), err)
		}
		if flips++; p.Stats().Corrupt != flips {
			t.Fatalf("%d pages damaged, %d counted", flips, p.Stats().Corrupt)
		}
		if content>>8%2 == 0 {
			noErr(t, w.Invalidate(slot, 1))
			clear(page)
		} else {
			crashPage(page, content+1)
			noErr(t, w.Store(slot, page))
		}
		if noErr(t, w.Load(slot, got)); !bytes.Equal(page, got) {
			t.Errorf("slot %d cannot be used again", slot)
		}
	}
	if flips < 200 {
		t.Errorf("only %d objects", flips)
	}
}
