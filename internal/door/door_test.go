package door

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// TestUndoWithSwapOn: whoever finds, at the last moment, that swap is on again, has a door that goes on.
func TestUndoWithSwapOn(t *testing.T) {
	p := prepare(t)
	var err error
	p.door, err = Open(p.options())
	noErr(t, err)
	if err := p.door.undo(); !errors.Is(err, swapdev.ErrOn) {
		t.Fatalf("undo with swap on: %v", err)
	}
	noErr(t, swapdev.Block(p.door.Device()).SwapOff(t.Context(), swapdev.OffOptions{}))
	noErr(t, swapdev.Block(p.door.Device()).SwapOn(-1, true)) // which reads the header: somebody serves
	noErr(t, p.door.Close(t.Context(), swapdev.OffOptions{}))
	p.end(t)
}

// parts is a door of this process and what it stands on.
type parts struct {
	state  string
	record *swapdev.Run
	pool   *zpool.Pool
	door   *Door
}

// prepare makes what a door stands on. What a test leaves because it failed is cleaned.
func prepare(t *testing.T) *parts {
	t.Helper()
	needRoot(t)
	p := &parts{state: newState(t)}
	var err error
	p.record, err = swapdev.NewRun(p.state)
	noErr(t, err)
	t.Cleanup(func() { _ = unix.Flock(p.record.Lock(), unix.LOCK_UN) })
	p.pool, err = zpool.New(poolOptions())
	noErr(t, err)
	return p
}

func (p *parts) options() Options { return Options{Pool: p.pool, Record: p.record, Kind: kind()} }

// ownHandle is the name of the handle that is not the store's, nor the record's.
func ownHandle() string {
	if kind() == UBLK {
		return UBLKHandle
	}
	return FUSEHandle
}

// handles returns copies of the door's handles, by name.
func (p *parts) handles(t *testing.T) map[string]int {
	t.Helper()
	held := map[string]int{}
	for _, h := range p.door.Handles() {
		fd, err := unix.FcntlInt(uintptr(h.FD), unix.F_DUPFD_CLOEXEC, 0)
		noErr(t, err)
		held[h.Name] = fd
	}
	return held
}

// leave releases the door, as a process does that ends.
func (p *parts) leave(t *testing.T) {
	t.Helper()
	noErr(t, p.door.Release())
	noErr(t, p.pool.Check())
	noErr(t, p.pool.Close())
}

// reopen opens the pool of a door that is to be adopted.
func (p *parts) reopen(t *testing.T, held map[string]int) zpool.Recovered {
	t.Helper()
	pool, found, err := zpool.Open(os.NewFile(uintptr(held[StoreHandle]), StoreHandle), poolOptions())
	noErr(t, err)
	p.pool = pool
	return found
}

// end takes away what the door stood on; nothing of the door may be left.
func (p *parts) end(t *testing.T) {
	t.Helper()
	noErr(t, p.pool.Check())
	noErr(t, p.pool.Close())
	r := p.record.Record()
	if nothingLeft(t, r); t.Failed() {
		return
	}
	noErr(t, p.record.Close())
	emptyState(t, p.state)
}

// A successor that serves goes on serving, whatever else it could not do: here the record cannot be written, as where /run is full.
func TestAdoptWithoutRoom(t *testing.T) {
	needKeepable(t)
	p := prepare(t)
	var err error
	p.door, err = Open(p.options())
	noErr(t, err)
	held := p.handles(t)
	p.leave(t)
	p.reopen(t, held)
	blocked := filepath.Join(p.state, p.record.ID()+".json.new")
	noErr(t, os.Mkdir(blocked, 0o700))
	o := p.options()
	o.WholeMachine, o.withoutWarm, o.withoutKiller = true, true, true // with relief, which is in the record
	p.door, err = Adopt(held[ownHandle()], os.NewFile(uintptr(held[RunHandle]), RunHandle), o)
	noErr(t, err)
	p.record = p.door.Record()
	if list := p.door.Warnings(); len(list) != 2 || !strings.Contains(list[0], "record") || !strings.Contains(list[1], "full") {
		t.Errorf("it warns of %q", list)
	}
	if _, err := p.door.Used(); err != nil {
		t.Error(err)
	}
	noErr(t, os.Remove(blocked))
	noErr(t, p.door.Close(t.Context(), swapdev.OffOptions{}))
	p.end(t)
}

// A door that was released and adopted is the same door: the device, what is in the pool, and how it closes.
func TestAdopt(t *testing.T) {
	needKeepable(t)
	p := prepare(t)
	var err error
	p.door, err = Open(p.options())
	noErr(t, err)
	device, before := p.door.Device(), p.record.Record()
	page := make([]byte, zpool.PageSize)
	copy(page, "what was swapped out")
	noErr(t, p.pool.NewWorker().Store(7, page))
	held, again := p.handles(t), p.handles(t)
	noErr(t, unix.Close(again[StoreHandle]))
	p.leave(t)

	if found := p.reopen(t, held); found.Pages != 2 || found.Lost != 0 { // the header and ours
		t.Errorf("found %+v", found)
	}
	wrong := p.options()
	wrong.Threads = -1
	if kind() == UBLK { // which has one thread
		noErr(t, errors.Join(unix.Close(again[ownHandle()]), unix.Close(again[RunHandle])))
	} else if _, err := Adopt(again[ownHandle()], os.NewFile(uintptr(again[RunHandle]), RunHandle), wrong); err == nil {
		t.Error("adopted with -1 threads")
	}
	p.door, err = Adopt(held[ownHandle()], os.NewFile(uintptr(held[RunHandle]), RunHandle), p.options()) // and nothing has changed
	noErr(t, err)
	p.record = p.door.Record()
	if p.door.Device() != device || p.record.Record() != before {
		t.Errorf("adopted %s of %+v, was %s of %+v", p.door.Device(), p.record.Record(), device, before)
	}
	if _, err := p.door.Used(); err != nil {
		t.Error(err)
	}
	f, err := os.Open(device) // the kernel reads through us what was there before
	noErr(t, err)
	got := make([]byte, zpool.PageSize)
	_, err = f.ReadAt(got, 7*zpool.PageSize)
	noErr(t, errors.Join(err, f.Close()))
	if string(got) != string(page) {
		t.Errorf("slot 7 begins with %q", got[:20])
	}
	noErr(t, p.door.Close(context.Background(), swapdev.OffOptions{}))
	p.end(t)
}

// The keeper is asked when all is there and the kernel has no page in the pool. If it refuses, all is undone.
func TestKeep(t *testing.T) {
	p := prepare(t)
	refused := errors.New("no")
	var names []string
	o := p.options()
	o.Keep = func(list []Handle) error {
		for _, h := range list {
			names = append(names, h.Name)
			if _, err := unix.FcntlInt(uintptr(h.FD), unix.F_GETFD, 0); err != nil {
				t.Errorf("%s: %v", h.Name, err)
			}
		}
		r := p.record.Record()
		if _, err := os.Stat(deviceIn(r)); err != nil {
			t.Errorf("the device: %v", err)
		}
		if _, err := swapdev.Block(deviceIn(r)).Used(); !errors.Is(err, swapdev.ErrOff) {
			t.Errorf("swap before the keeper knows: %v", err)
		}
		return refused
	}
	if _, err := Open(o); !errors.Is(err, refused) {
		t.Errorf("the keeper refused: %v", err)
	}
	if want := []string{ownHandle(), RunHandle, StoreHandle}[:len(names)]; len(names) < 2 || !slices.Equal(names, want) || keepable(t) && len(names) != 3 {
		t.Errorf("handles %v", names)
	}
	p.end(t)
}

// What was closed while its handles were kept cannot be adopted, and says so.
func TestAdoptClosed(t *testing.T) {
	needKeepable(t)
	p := prepare(t)
	var err error
	p.door, err = Open(p.options())
	noErr(t, err)
	held := p.handles(t)
	noErr(t, p.door.way.swapOff(t.Context(), swapdev.OffOptions{}))
	p.leave(t)
	p.reopen(t, held)
	run, err := unix.FcntlInt(uintptr(held[RunHandle]), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	if _, err := Adopt(held[ownHandle()], os.NewFile(uintptr(run), RunHandle), p.options()); !errors.Is(err, swapdev.ErrForeign) && !errors.Is(err, swapdev.ErrOff) {
		t.Errorf("adopted what is off: %v", err)
	}
	opened := p.record
	p.record, err = swapdev.Resume(os.NewFile(uintptr(held[RunHandle]), RunHandle))
	noErr(t, err)
	if kind() == FUSE {
		p.end(t)
		return
	}
	// A loop device goes with its last user. A ublk device is for Clean.
	r := p.record.Record()
	noErr(t, errors.Join(opened.Release(), p.record.Release()))
	report, err := swapdev.Clean(t.Context(), p.state, swapdev.CleanOptions{})
	if noErr(t, err); len(report) != 1 || !strings.Contains(report[0], "removed "+r.UBLK) {
		t.Errorf("cleaned: %q", report)
	}
	noErr(t, errors.Join(p.pool.Check(), p.pool.Close()))
	nothingLeft(t, r)
	emptyState(t, p.state)
}

// What is over io_uring dies with its server, so it is not offered to a keeper.
func TestURingCannotBeKept(t *testing.T) {
	p := prepare(t)
	o := p.options()
	o.URing, o.Kind = true, FUSE
	o.Keep = func([]Handle) error { return nil }
	if d, err := Open(o); err == nil {
		t.Error("kept all the same")
		noErr(t, d.Close(context.Background(), swapdev.OffOptions{}))
	}
	noErr(t, p.pool.Close())
	noErr(t, p.record.Close())
	emptyState(t, p.state)
}
