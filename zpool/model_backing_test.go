package zpool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
)

// The model's operations on the backing file. It is so small that it is full now and then.
const modelBacking = 6 << 20

func (m *model) addBacking(t *rapid.T) {
	there := m.p.Backing() != nil
	err := m.p.AddBacking(BackingOptions{Path: m.seen.dir, Bytes: modelBacking})
	if there == (err == nil) && !errors.Is(err, arena.ErrLimit) {
		t.Fatalf("there before: %t; %v", there, err)
	}
}

// removeBacking has everything brought back, or what fits.
func (m *model) removeBacking(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
		return
	}
	there := m.p.Backing() != nil
	err := m.p.RemoveBacking(rapid.Bool().Draw(t, "lose"))
	room := (*RoomError)(nil)
	switch {
	case !there && err == errNoBacking:
	case errors.As(err, &room) && room.Pages == m.p.Stats().WrittenPages:
		m.seen.NoRoom++
	case err == nil && there && m.p.Stats().WrittenPages == 0:
		m.seen.Removed++
	default:
		t.Fatalf("there before: %t; %v", there, err)
	}
	m.most = max(m.most, m.p.Stats().MemoryBytes)
}

// writeBack writes what has not been used for so many generations, also what has just come back.
func (m *model) writeBack(t *rapid.T) {
	if m.p.Backing() == nil {
		m.addBacking(t)
	}
	if rapid.Bool().Draw(t, "tick") {
		m.p.Tick()
	}
	clear(m.p.writeback.recent[:])
	m.p.writeback.hotAge.Store(rapid.Uint32Range(0, 2).Draw(t, "hot"))
	idle, raw := rapid.Uint8Range(0, 3).Draw(t, "idle"), rapid.Uint8Range(0, 3).Draw(t, "raw")
	before, used := m.p.Stats(), m.p.zs.InUse()
	did, _, err := m.p.WriteBack(idle, raw, rapid.Int64Range(1, 2<<20).Draw(t, "bytes"))
	after := m.p.Stats()
	switch {
	case errors.Is(err, backing.ErrNone), errors.Is(err, backing.ErrFull):
	case err != nil:
		t.Fatal(err)
	case did.Lost != 0 || after.WrittenPages != before.WrittenPages+int64(did.Pages) || m.p.zs.InUse() > used:
		t.Fatalf("%+v; before %d pages in the file, after %d; %d bytes, %d", did, before.WrittenPages, after.WrittenPages, used, m.p.zs.InUse())
	}
	m.seen.Written += int(did.Pages)
	first, n := m.span(t)
	for range rapid.IntRange(0, 2).Draw(t, "loads") { // the second time they may be hot
		m.verify(t, m.worker(t), first, n)
	}
}

// cleanBacking cleans, mostly after the pool was opened anew: the extent that was written last is left alone.
func (m *model) cleanBacking(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "reopen") > 0 {
		m.reopenAll(t)
	}
	before := m.p.Stats().WrittenPages
	did, _, err := m.p.CleanBacking()
	if err != nil && !errors.Is(err, backing.ErrNone) && !errors.Is(err, backing.ErrFull) || before != m.p.Stats().WrittenPages {
		t.Fatalf("%+v, %v; %d pages in the file, %d before", did, err, m.p.Stats().WrittenPages, before)
	}
	m.seen.Cleaned += int(did.Extents)
}

// copyOfBacking is what a successor is given.
func (m *model) copyOfBacking(t *rapid.T) *os.File {
	f := m.p.Backing()
	if f == nil {
		return nil
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	return os.NewFile(uintptr(fd), "backing")
}
