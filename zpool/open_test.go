package zpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

const storeSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// file writes what of the sample fits in size bytes to a memory file, after an edit of its superblock.
func (s *sample) file(t testing.TB, size int64, seals int, edit func(super []byte)) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("damaged", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	noErr(t, err)
	f := os.NewFile(uintptr(fd), "damaged")
	noErr(t, f.Truncate(size))
	for _, off := range s.frames {
		b := append([]byte{}, s.bytes[off]...)
		if off == 0 && edit != nil {
			edit(b[:superblockSize])
		}
		if off < size {
			_, err := f.WriteAt(b[:min(arena.FrameSize, size-off)], off)
			noErr(t, err)
		}
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	noErr(t, err)
	return f
}

// set puts a number of so many bytes into a superblock, whose checksum it mends.
func set(at, bytes int, value uint64) func([]byte) {
	return func(super []byte) {
		for i := range bytes {
			super[at+i] = byte(value >> (8 * i))
		}
		binary.LittleEndian.PutUint32(super[44:], crc32.Checksum(super[:44], castagnoli))
	}
}

// What is no store, or not one of ours, is refused with a reason, and closed.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	s := newSample(t, 0, 60)
	good := func() *os.File { return s.file(t, s.size, storeSeals, nil) }
	named := func(name string, flags int) *os.File {
		f, err := os.OpenFile(name, flags, 0o600)
		noErr(t, err)
		return f
	}
	plain := filepath.Join(t.TempDir(), "plain")
	noErr(t, os.WriteFile(plain, make([]byte, s.size), 0o600))
	closed := good()
	noErr(t, closed.Close())
	pipe, end, err := os.Pipe()
	noErr(t, err)
	defer end.Close()
	p, _, err := Open(good(), s.o)
	noErr(t, err) // what follows is refused for what was changed, and nothing else
	checkAndClose(t, p)
	for _, c := range []struct {
		name string
		f    *os.File
		want string
	}{
		{"empty", s.file(t, 0, storeSeals, nil), "0 bytes"},
		{"no whole chunks", s.file(t, s.size-1, storeSeals, nil), fmt.Sprintf("%d bytes", s.size-1)},
		{"a plain file", named(plain, os.O_RDWR), "want a memory file of ours"},
		{"sealed against writing", s.file(t, s.size, storeSeals|unix.F_SEAL_WRITE, nil), "not permitted"},
		{"read-only", named(fmt.Sprintf("/proc/self/fd/%d", good().Fd()), os.O_RDONLY), "permission denied"},
		{"a pipe", pipe, "want a memory file of ours"},
		{"a device", named("/dev/null", os.O_RDWR), "want a memory file of ours"},
		{"closed", closed, "closed"},
		{"no superblock", (&sample{}).file(t, s.size, storeSeals, nil), "not a store"},
		{"other magic", s.file(t, s.size, storeSeals, set(0, 8, 1)), "not a store"},
		{"zeros", s.file(t, s.size, storeSeals, func(b []byte) { clear(b) }), "not a store"},
		{"damaged", s.file(t, s.size, storeSeals, func(b []byte) { b[20]++ }), "superblock is damaged"},
		{"version 3", s.file(t, s.size, storeSeals, set(8, 4, 3)), "store version 3: this program reads version 2"},
		{"version 0", s.file(t, s.size, storeSeals, set(8, 4, 0)), "store version 0: this program reads version 2"},
		{"large pages", s.file(t, s.size, storeSeals, set(12, 4, 16384)), "pages of 16384 bytes"},
		{"no slots", s.file(t, s.size, storeSeals, set(16, 8, 0)), "slots = 0"},
		{"too many slots", s.file(t, s.size, storeSeals, set(16, 8, MaxSlots+1)), "slots = 4294963201"},
		{"all slots", s.file(t, s.size, storeSeals, set(16, 8, 1<<64-1)), "slots = 18446744073709551615"},
		{"no frames", s.file(t, s.size, storeSeals, set(24, 8, 0)), "max frames = 0"},
		{"negative frames", s.file(t, s.size, storeSeals, set(24, 8, 1<<63)), "max frames = -9223372036854775808"},
		{"long chain", s.file(t, s.size, storeSeals, set(32, 4, 17)), "chain size = 17"},
		{"negative chain", s.file(t, s.size, storeSeals, set(32, 4, 1<<32-1)), "chain size = "},
		{"more slots", s.file(t, s.size, storeSeals, set(16, 8, 1<<20)), fmt.Sprintf("this one has %d", s.size)},
		{"more frames", s.file(t, s.size, storeSeals, set(24, 8, 1<<20)), fmt.Sprintf("this one has %d", s.size)},
		{"most frames", s.file(t, s.size, storeSeals, set(24, 8, 1<<32-2)), fmt.Sprintf("this one has %d", s.size)},
		{"cut", s.file(t, s.size/2&^(arena.ChunkSize-1), storeSeals, nil), fmt.Sprintf("has %d bytes", s.size)},
		{"cut to the superblock", s.file(t, arena.ChunkSize, storeSeals, nil), "this one has 1048576"},
		{"grown", s.file(t, 2*s.size, storeSeals, nil), fmt.Sprintf("this one has %d", 2*s.size)},
	} {
		p, _, err := Open(c.f, s.o)
		if err == nil {
			t.Errorf("%s: opened", c.name)
			noErr(t, p.Close())
		} else if !strings.HasPrefix(err.Error(), "zpool: open: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err := c.f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: left open", c.name)
		}
	}
}

// Each bit of the superblock counts.
func TestOpenFindsEachBitOfTheSuperblock(t *testing.T) {
	s := newSample(t, 0, 60)
	for bit := range superblockSize * 8 {
		p, _, err := Open(s.file(t, s.size, storeSeals, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) }), s.o)
		if err == nil {
			t.Errorf("opened with bit %d of the superblock flipped", bit)
			noErr(t, p.Close())
		}
	}
}

// A superblock that is well-formed, for a file of that size, and lies: what is found then is right or damaged, and
// opening takes no more than it may, however large the store says that it is.
func TestOpenWrongGeometry(t *testing.T) {
	s := newSample(t, 0, 150)
	r := newRand(t)
	for i := range 100 {
		g := s.super
		for g == s.super {
			switch r.IntN(4) {
			case 0:
				g.slots = 1 + r.Uint64N(MaxSlots)>>r.IntN(32)
			case 1:
				g.maxFrames = 1 + r.Int64N(1<<32-2)>>r.IntN(32)
			case 2:
				g.chain = uint32(r.IntN(17))
			case 3:
				g.slots, g.maxFrames = g.slots+r.Uint64N(1<<20), g.maxFrames+r.Int64N(1<<10)
			}
		}
		if err := s.openAs(t, r, g); err != nil {
			t.Fatalf("try %d, %+v: %v", i, g, err)
		}
	}
}

// openAs opens a sample under another superblock.
func (s *sample) openAs(t testing.TB, r *rand.Rand, g superblock) error {
	f := s.file(t, g.size(), storeSeals, g.encode)
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	p, _, err := Open(f, Options{MaxBytes: s.o.MaxBytes, Compressor: "none"})
	runtime.ReadMemStats(&is)
	if n := is.TotalAlloc - was.TotalAlloc; n > 16<<20 {
		err = errors.Join(err, fmt.Errorf("%d bytes allocated", n))
	}
	if err != nil && g.size() > 1<<46 {
		return nil // more than a process can map
	}
	if err != nil {
		return err
	}
	if had, has := int64(len(s.frames))*arena.FrameSize, p.a.Budget().Used(); has > had+s.o.MaxBytes {
		err = fmt.Errorf("%d bytes resident before, %d in use after", had, has)
	}
	return errors.Join(err, verifyLies(r, p, s.pages), p.Close())
}

// verifyLies is verify for a pool that may have another number of slots than the sample: nothing is wrong but wrong bytes.
func verifyLies(r *rand.Rand, p *Pool, pages [][]byte) error {
	_, err := p.zs.CheckDamaged() // headers of another geometry are no news
	if err := errors.Join(err, p.checkMemory()); err != nil {
		return err
	}
	w, got, zeros := damageWorker(p), make([]byte, PageSize), make([]byte, PageSize)
	var damaged []uint64
	for slot := range min(p.Slots(), 1<<19) { // the words behind the table of the sample, too
		if !p.slots.committed(slot) {
			continue
		}
		want, empty := zeros, p.slots.word(slot).Load() == 0
		if slot < uint64(len(pages)) && pages[slot] != nil && !empty {
			want = pages[slot]
		}
		switch err := w.Load(slot, got); {
		case errors.Is(err, ErrCorrupt):
			damaged = append(damaged, slot)
		case err != nil:
			return err
		case slot >= uint64(len(pages)) && word(p.slots.word(slot).Load()).kind() == kindSameFilled: // somebody made it so
		case string(got) != string(want):
			return fmt.Errorf("slot %d: wrong bytes, word %#x", slot, p.slots.word(slot).Load())
		}
	}
	if err := errors.Join(mend(r, w, damaged), w.Invalidate(0, p.Slots())); err != nil {
		return err
	}
	return p.check(w)
}

// A handle that says that its object is far away makes tables long, but not longer than the limit allows.
func TestOpenTakesNoMoreThanItMay(t *testing.T) {
	p, err := New(Options{Slots: 1000, MaxBytes: 2 << 20, CeilingBytes: 1 << 30})
	noErr(t, err)
	if p.File() == nil {
		noErr(t, p.Close())
		t.Skip("the store is in Go memory, as race builds have it")
	}
	page := make([]byte, PageSize)
	makePage(page, 3, 1)
	noErr(t, p.NewWorker().Store(0, page))
	l := newLayout(p.super)
	parts := l.parts(p, 0)
	f := dup(t, p.File())
	defer f.Close()
	noErr(t, p.Close())
	word, header := make([]byte, 8), make([]byte, 8)
	read := func(b []byte, off int64) { _, err := f.ReadAt(b, off); noErr(t, err) }
	write := func(b []byte, off int64) { _, err := f.WriteAt(b, off); noErr(t, err) }
	read(word, parts[1].off)
	read(header, parts[2].off)
	for run, want := range map[int64]string{1 << 17: "memory limit reached", 1 << 15: ""} {
		binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)&^((1<<32-1)<<20)|uint64(run)<<20)
		write(word, parts[1].off)
		write(header, l.headers+run*8)
		write(page, l.lanes[0]+run*arena.FrameSize)
		p, rec, err := Open(dup(t, f), Options{MaxBytes: 2 << 20})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("run %d: %v, %+v", run, err, rec)
			}
			continue
		}
		noErr(t, err)
		if rec.Lost != 0 {
			t.Errorf("run %d: %+v", run, rec)
		}
		got := make([]byte, PageSize)
		noErr(t, p.NewWorker().Load(0, got))
		if string(got) != string(page) {
			t.Errorf("run %d: wrong bytes", run)
		}
		checkAndClose(t, p)
	}
}
