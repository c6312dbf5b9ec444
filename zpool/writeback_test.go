package zpool

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
)

// shm is a folder for backing files that no disk is needed for.
func shm(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "zpool")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

const testBacking = 24 << 20

// forTests fills in what tests of the backing file mostly want.
func (o Options) forTests() Options {
	if o.Slots == 0 {
		o.Slots = 1 << 14
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 16 << 20
	}
	if o.RecompressCodec == "" {
		o.RecompressCodec = "s2" // it is made at once
	}
	return o
}

// writeAll writes all that was not touched since the last tick.
func writeAll(t testing.TB, p *Pool) (all Written) {
	t.Helper()
	for more := true; more; {
		did, m, err := p.WriteBack(1, 1, backing.BatchBytes)
		noErr(t, err)
		all.add(did)
		more = m
	}
	return all
}

// backed is a pool with a backing file, and what it holds.
type backed struct {
	t    *testing.T
	p    *Pool
	w    *Worker
	want map[uint64]uint64 // slot → content, see crashPage
}

func newBacked(t *testing.T, o Options) *backed {
	t.Helper()
	o = o.forTests()
	p, err := New(o)
	noErr(t, err)
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
	b := &backed{t, p, p.NewWorker(), map[uint64]uint64{}}
	t.Cleanup(func() { checkAndClose(t, b.p) })
	return b
}

func (b *backed) store(slot, content uint64) {
	b.t.Helper()
	page := make([]byte, PageSize)
	crashPage(page, content)
	noErr(b.t, b.w.Store(slot, page))
	b.want[slot] = content
}

func (b *backed) invalidate(slot uint64) {
	b.t.Helper()
	noErr(b.t, b.w.Invalidate(slot, 1))
	delete(b.want, slot)
}

func (b *backed) verify() {
	b.t.Helper()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for slot, content := range b.want {
		noErr(b.t, b.w.Load(slot, got))
		if crashPage(page, content); !bytes.Equal(page, got) {
			b.t.Fatalf("slot %d: not the page that was stored", slot)
		}
	}
}

// TestWriteBack: what nobody uses goes to the file and comes back, whatever is done to it there.
func TestWriteBack(t *testing.T) {
	for _, cluster := range []int{PageSize, 4 * PageSize} {
		r := newRand(t)
		b := newBacked(t, Options{ClusterSize: cluster, MaxBytes: 8 << 20})
		for slot := range uint64(4000) {
			b.store(slot, r.Uint64())
		}
		b.p.Tick()
		for slot := uint64(0); slot < 4000; slot += 7 {
			b.store(slot, r.Uint64()) // in use
		}
		packAll(t, b.p)
		before := b.p.Stats()
		did := writeAll(t, b.p)
		after := b.p.Stats()
		if did.Pages < 2500 || after.WrittenPages != int64(did.Pages) || after.CompressedBytes > before.CompressedBytes/3 {
			t.Fatalf("%+v; before %+v, after %+v", did, before, after)
		}
		if most := (before.CompressedBytes - after.CompressedBytes) * 110 / 100; did.Bytes > most {
			t.Errorf("%d bytes written, want at most %d", did.Bytes, most)
		}
		noErr(t, b.p.Check())
		b.verify()
		if b.p.Stats().Backing.Reads == 0 {
			t.Error("nothing was read from the file")
		}
		for slot := range uint64(4000) {
			switch r.IntN(4) {
			case 0:
				b.store(slot, r.Uint64())
			case 1:
				b.invalidate(slot)
			}
		}
		b.verify()
		noErr(t, b.p.Check())
		cleaned := Cleaned{}
		for more := true; more; {
			var c Cleaned
			var err error
			c, more, err = b.p.CleanBacking()
			noErr(t, err)
			cleaned.add(c)
		}
		if cleaned.Extents == 0 {
			t.Error("no extent was cleaned")
		}
		noErr(t, b.p.Check())
		b.verify()
		noErr(t, b.p.RemoveBacking(false))
		if s := b.p.Stats(); s.WrittenPages != 0 || b.p.Backing() != nil {
			t.Errorf("%d pages are still in a file that is gone", s.WrittenPages)
		}
		b.verify()
		noErr(t, b.p.AddBacking(BackingOptions{Path: shm(t), Bytes: testBacking}))
		b.p.Tick()
		writeAll(t, b.p)
		b.verify()
		b.reopen(nil)
		b.verify()
	}
}

// reopen opens the store again, as a successor does, with a copy of the backing file or what change makes of it.
func (b *backed) reopen(change func(f *os.File) *os.File) (rec Recovered) {
	b.t.Helper()
	var f *os.File
	if old := b.p.Backing(); old != nil {
		f = dup(b.t, old)
	}
	if change != nil {
		f = change(f)
	}
	s := *b.p.settings.Load()
	o := Options{MaxBytes: b.p.a.Budget().Limit(), Compressor: "lz4", RecompressCodec: s.RecompressCodec, ClusterSize: s.ClusterSize, Backing: f}
	p, rec, err := reopenIn(b.p, o)
	noErr(b.t, err)
	b.p, b.w = p, p.NewWorker()
	return rec
}

// A word whose age would come round while its page is on the way to the disk could be taken for that of a page that was stored
// meanwhile: it waits until the sweep has seen it.
func TestAgesDoNotComeRoundOnTheWay(t *testing.T) {
	b := newBacked(t, Options{})
	for slot := range uint64(64) {
		b.store(slot, slot<<12|sortShort<<8)
	}
	until := func(old bool) {
		for range 300 {
			if b.p.Tick(); (b.p.clock.age(word(b.p.slots.word(7).Load())) > 255-ticksMost) == old {
				return
			}
		}
		t.Fatalf("the words are never so old (%t)", old)
	}
	until(true)
	if did := writeAll(t, b.p); did != (Written{}) {
		t.Errorf("%+v", did)
	}
	until(false)
	if did := writeAll(t, b.p); did.Pages != 64 {
		t.Errorf("%+v", did)
	}
	b.verify()
}

// What came back of late stays in memory, and the region that it is in.
func TestRefaults(t *testing.T) {
	b := newBacked(t, Options{})
	for slot := range uint64(10 * regionSlots) {
		b.store(slot, slot<<12|sortShort<<8)
	}
	b.p.Tick()
	writeAll(t, b.p)
	b.p.writeback.hotAge.Store(1)
	got := make([]byte, PageSize)
	noErr(t, b.w.Load(regionSlots+3, got))
	if n := b.p.Stats().WrittenPages; n != 10*regionSlots {
		t.Errorf("%d pages in the file", n)
	}
	before := b.p.Stats().WrittenPages
	noErr(t, b.w.Load(regionSlots+3, got))
	if n := b.p.Stats(); n.WrittenPages != before-1 || n.Promoted == 0 {
		t.Errorf("%d pages in the file, %d promoted", n.WrittenPages, n.Promoted)
	}
	b.p.Tick()
	if did := writeAll(t, b.p); did.Pages != 0 {
		t.Errorf("%+v written back at once", did)
	}
	now := b.p.tiers.now()
	for _, age := range []struct {
		seconds int
		want    bool
	}{{0, true}, {45, true}, {46, false}, {1000, false}} {
		b.p.writeback.recent.note(5000, now)
		if got := b.p.writeback.recent.recent(5000, now+time.Duration(age.seconds)*time.Second); got != age.want {
			t.Errorf("after %d seconds: %t", age.seconds, got)
		}
	}
	b.verify()
}

// A backing file that is missing, short, or another one costs the pages that were in it, and a report.
func TestOpenWithoutTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, f *os.File) *os.File
		want   error
	}{
		"missing": {func(t *testing.T, f *os.File) *os.File { f.Close(); return nil }, backing.ErrForeign},
		"another": {func(t *testing.T, f *os.File) *os.File {
			f.Close()
			other, err := backing.Create(shm(t))
			noErr(t, err)
			return other
		}, backing.ErrForeign},
		"short": {func(t *testing.T, f *os.File) *os.File { noErr(t, f.Truncate(1<<20)); return f }, backing.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBacked(t, Options{})
			for slot := range uint64(3000) {
				b.store(slot, slot<<12|3<<8)
			}
			b.p.Tick()
			packAll(t, b.p)
			writeAll(t, b.p)
			for slot := range uint64(100) {
				b.store(slot, slot<<12|2<<8)
			}
			written := uint64(b.p.Stats().WrittenPages)
			rec := b.reopen(func(f *os.File) *os.File { return c.change(t, f) })
			if !errors.Is(rec.Backing, c.want) || rec.Lost == 0 || rec.Lost > written || c.want != backing.ErrShort && rec.Lost != written {
				t.Errorf("of %d in the file: %+v", written, rec)
			}
			got, page, lost := make([]byte, PageSize), make([]byte, PageSize), uint64(0)
			for slot, content := range b.want {
				crashPage(page, content)
				switch err := b.w.Load(slot, got); {
				case errors.Is(err, ErrCorrupt):
					lost++
				case err != nil || !bytes.Equal(got, page):
					t.Fatalf("slot %d: %v, or another page", slot, err)
				}
			}
			if lost != rec.Lost {
				t.Errorf("%d pages are damaged, the report says %d", lost, rec.Lost)
			}
			noErr(t, b.p.Check())
		})
	}
}

// Removal without room is refused with numbers, and what cannot be read is kept until the user gives it up.
func TestRemoveBackingRefuses(t *testing.T) {
	b := newBacked(t, Options{MaxBytes: 2 << 20})
	for slot := uint64(0); slot < 2000; slot++ {
		if slot%300 == 299 {
			b.p.Tick()
			writeAll(t, b.p)
		}
		b.store(slot, slot<<12|2<<8)
	}
	err := b.p.RemoveBacking(false)
	room := (*RoomError)(nil)
	if !errors.As(err, &room) || !errors.Is(err, ErrFull) || room.Pages == 0 || room.Bytes == 0 || b.p.Stats().WrittenPages != room.Pages {
		t.Fatalf("%v, %+v", err, b.p.Stats())
	}
	noErr(t, b.p.Check())
	b.verify()
	noErr(t, b.w.Invalidate(0, 1500))
	for slot := range uint64(1500) {
		delete(b.want, slot)
	}
	noErr(t, b.p.RemoveBacking(false))
	b.verify()
}

// What the disk does not give back is an error of its own, and no page is lost by it.
func TestUnreadable(t *testing.T) {
	broken := false
	undo := backing.SetFault(func(op backing.Op, _, _ int64) error {
		if broken && op == backing.OpRead {
			return unix.EIO
		}
		return nil
	}, nil)
	defer undo()
	b := newBacked(t, Options{})
	for slot := range uint64(100) {
		b.store(slot, slot<<12|2<<8)
	}
	b.p.Tick()
	writeAll(t, b.p)
	broken = true
	if err := b.w.Load(7, make([]byte, PageSize)); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "slot 7") {
		t.Errorf("%v", err)
	}
	if s := b.p.Stats(); s.Unreadable != 1 || s.Corrupt != 0 {
		t.Errorf("%d unreadable, %d damaged", s.Unreadable, s.Corrupt)
	}
	if err := b.p.RemoveBacking(false); !errors.Is(err, ErrUnreadableLeft) {
		t.Errorf("removal: %v", err)
	}
	broken = false
	b.verify()
	broken = true
	noErr(t, b.p.RemoveBacking(true))
	if err := b.w.Load(7, make([]byte, PageSize)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("given up: %v", err)
	}
}

// No page leaves memory before the disk has said that it is safe: a sync that fails leaves all where they are.
func TestNothingLeavesBeforeTheSync(t *testing.T) {
	broken := true
	undo := backing.SetFault(func(op backing.Op, _, _ int64) error {
		if broken && op == backing.OpSync {
			return unix.EIO
		}
		return nil
	}, nil)
	defer undo()
	b := newBacked(t, Options{})
	for slot := range uint64(500) {
		b.store(slot, slot<<12|sortShort<<8)
	}
	b.p.Tick()
	did, _, err := b.p.WriteBack(1, 1, backing.BatchBytes)
	s := b.p.Stats()
	if !errors.Is(err, unix.EIO) || did.Pages != 0 || s.WrittenPages != 0 || s.Backing.LiveBytes != 0 || s.Backing.DayBytes != 0 {
		t.Errorf("%v, %+v; %d pages in the file, %+v", err, did, s.WrittenPages, s.Backing)
	}
	if _, _, err := b.p.WriteBack(1, 1, backing.BatchBytes); !errors.Is(err, backing.ErrBackOff) {
		t.Errorf("again at once: %v", err)
	}
	if n, err := b.p.BackingErr(); n != 1 || !errors.Is(err, unix.EIO) {
		t.Errorf("%d batches failed, the last: %v", n, err)
	}
	b.verify()
}

func TestNoAllocationsToLoadWhatIsWritten(t *testing.T) {
	b := newBacked(t, Options{})
	for slot := range uint64(2000) {
		b.store(slot, slot<<12|2<<8)
	}
	b.p.Tick()
	packAll(t, b.p)
	writeAll(t, b.p)
	got, slot := make([]byte, PageSize), uint64(0)
	if n := testing.AllocsPerRun(500, func() {
		slot += 3
		noErr(t, b.w.Load(slot, got))
	}); n != 0 {
		t.Errorf("%v allocations per page", n)
	}
	if b.p.Stats().Backing.Reads < 100 {
		t.Error("they were not read from the file")
	}
}

// On a disk that takes more generations for a batch than its pages may be under way, batches become smaller, until they are safe in time.
func TestSlowDisk(t *testing.T) {
	var p *Pool
	var wrote, ticked atomic.Int64
	undo := backing.SetFault(func(op backing.Op, _, n int64) error {
		switch op {
		case backing.OpWrite:
			wrote.Add(n)
		case backing.OpSync: // each batch by itself takes more than ticksMost
			for ; ticked.Load() < wrote.Load(); ticked.Add(backing.BatchBytes / (ticksMost + 8)) {
				p.Tick()
			}
		}
		return nil
	}, nil)
	defer undo()
	b := newBacked(t, Options{MaxBytes: 32 << 20})
	p = b.p
	for slot := range uint64(2500) {
		b.store(slot, slot<<12|sortLong<<8)
	}
	b.p.Tick()
	lost := uint64(0)
	for range 5 {
		did, _, err := b.p.WriteBack(1, 1, backing.BatchBytes)
		noErr(t, err)
		lost += did.Lost
	}
	if n := b.p.Stats().WrittenPages; n != 2500 || lost == 0 {
		t.Errorf("%d pages are in the file, %d were given up", n, lost)
	}
	for range 40 {
		b.p.writeback.pace(landed{})
	}
	if n := b.p.writeback.most; n != backing.BatchBytes {
		t.Errorf("batches are of %d bytes when the disk is fast again", n)
	}
	b.verify()
}
