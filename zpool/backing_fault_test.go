package zpool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
)

// diskFaults makes a few calls to the disk fail: those of one kind from first to last, counted from 1; all of them take a while
// if they are slow.
type diskFaults struct {
	op          backing.Op
	first, last int
	slow        bool

	mu            sync.Mutex
	calls, failed int
	off           bool
}

func (f *diskFaults) fail(op backing.Op, _, _ int64) error {
	if f.slow {
		time.Sleep(200 * time.Microsecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off || op != f.op {
		return nil
	}
	if f.calls++; f.calls < f.first || f.calls > f.last {
		return nil
	}
	f.failed++
	return []error{unix.EIO, unix.EIO, unix.EIO, unix.EIO, unix.EIO}[op]
}

func (f *diskFaults) set(off bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = off
}

// TestDiskFaults runs a script again and again; each call to the disk fails in one of the runs, alone or with all that follow. No
// page is lost, what fails changes nothing, and when the disk works again everything can be read.
func TestDiskFaults(t *testing.T) {
	for op, name := range map[backing.Op]string{
		backing.OpRead: "read", backing.OpWrite: "write", backing.OpSync: "sync", backing.OpPunch: "punch", backing.OpFree: "free",
	} {
		for _, row := range []int{1, 1 << 30} {
			t.Run(fmt.Sprintf("%s,%d", name, row), func(t *testing.T) {
				r := newRand(t)
				for first, failed := 1, true; failed && !t.Failed(); first += 1 + first/4 { // later ones are much alike
					f := &diskFaults{op: op, first: first, last: first + row - 1, slow: first == 2}
					undo := backing.SetFault(f.fail, nil)
					playDiskFaults(t, f, r)
					undo()
					failed = f.failed > 0
				}
			})
		}
	}
}

func playDiskFaults(t *testing.T, f *diskFaults, r *rand.Rand) {
	o := Options{MaxBytes: 4 << 20, ClusterSize: 4 * PageSize}.forTests()
	p, err := New(o)
	noErr(t, err)
	f.set(true)
	noErr(t, p.AddBacking(BackingOptions{Path: shm(t), Bytes: 6 << 20}))
	f.set(false)
	b := &backed{t, p, p.NewWorker(), map[uint64]uint64{}}
	defer func() { checkAndClose(t, b.p) }()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for range 4 {
		for slot := range uint64(500) {
			if r.IntN(3) > 0 {
				b.store(slot, r.Uint64())
			}
		}
		packAll(t, p)
		before := p.Stats()
		_, _, err := p.WriteBack(1, 1, 3<<20)
		after := p.Stats()
		switch {
		case err == nil:
		case !errors.Is(err, unix.EIO) && !errors.Is(err, backing.ErrBackOff) && !errors.Is(err, backing.ErrFull):
			t.Fatalf("write back: %v", err)
		case after.WrittenPages < before.WrittenPages:
			t.Fatalf("%d pages written before a step that failed, %d after", before.WrittenPages, after.WrittenPages)
		}
		for range 50 {
			slot := r.Uint64N(500)
			err := b.w.Load(slot, got)
			if crashPage(page, b.want[slot]); err == nil && !bytes.Equal(page, got) || err != nil && !errors.Is(err, ErrUnreadable) {
				t.Fatalf("slot %d: %v, or another page", slot, err)
			}
		}
		_, _, _ = p.CleanBacking()
		_, _ = p.writeback.file.Load().Sweep(1)
		clear(p.writeback.recent[:])
	}
	if err := p.RemoveBacking(false); err != nil && !errors.Is(err, ErrUnreadableLeft) && !errors.As(err, new(*RoomError)) &&
		!errors.Is(err, unix.EIO) {
		t.Fatalf("remove: %v", err)
	}
	f.set(true)
	b.verify()
}

// Bits that the disk gets wrong, anywhere, cost pages that are then damaged, and none is wrong.
func TestDamagedFile(t *testing.T) {
	r := newRand(t)
	var mu sync.Mutex
	damage := false
	undo := backing.SetFault(func(backing.Op, int64, int64) error { return nil }, func(_ int64, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if damage {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
	})
	defer undo()
	b := newBacked(t, Options{ClusterSize: 4 * PageSize})
	for slot := range uint64(2000) {
		b.store(slot, r.Uint64())
	}
	packAll(t, b.p)
	writeAll(t, b.p)
	mu.Lock()
	damage = true
	mu.Unlock()
	page, got, wrong := make([]byte, PageSize), make([]byte, PageSize), 0
	for slot, content := range b.want {
		err := b.w.Load(slot, got)
		crashPage(page, content)
		switch {
		case errors.Is(err, ErrCorrupt):
			wrong++
		case err != nil || !bytes.Equal(page, got):
			t.Fatalf("slot %d: %v, or another page", slot, err)
		}
	}
	if wrong < 100 {
		t.Errorf("%d of 2000 pages were damaged", wrong)
	}
	for more := true; more; { // what does not open is left where it is
		_, more, _ = b.p.CleanBacking()
	}
	mu.Lock()
	damage = false
	mu.Unlock()
	b.verify()
}
