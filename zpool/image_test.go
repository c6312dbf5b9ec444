package zpool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

// An image is a copy of a sample, to be damaged and opened.
type image struct {
	s     *sample
	a     *arena.Arena
	there map[int64]bool // resident frames, by offset
	log   []string       // what was done to it
}

// image copies what of the sample fits in size bytes.
func (s *sample) image(size int64) (*image, error) {
	a, err := arena.New("damaged", size, arena.NewBudget(1<<40))
	if err != nil {
		return nil, err
	}
	m := &image{s: s, a: a, there: map[int64]bool{}}
	for _, off := range s.frames {
		if off < a.Size() && err == nil {
			if err = m.commit(off); err == nil {
				copy(m.frame(off), s.bytes[off])
			}
		}
	}
	return m, err
}

// open opens the image's store, which owns its memory then.
func (m *image) open() (*Pool, Recovered, error) {
	f, o := m.a.File(), Options{MaxBytes: m.s.o.MaxBytes, Compressor: "none"} // made at once; see damageWorker
	if f == nil {                                                             // Go memory, as race builds have it
		p, rec, err := openIn(m.a, o)
		if err != nil {
			err = errors.Join(err, m.a.Close())
		}
		return p, rec, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, m.a.Close()); err != nil {
		return nil, Recovered{}, err
	}
	return Open(os.NewFile(uintptr(fd), "damaged"), o)
}

// reopen closes a pool and opens its store again.
func reopen(p *Pool) (*Pool, Recovered, error) {
	o := Options{MaxBytes: p.Stats().LimitBytes, Compressor: "none"}
	if p.File() == nil {
		if err := p.zs.Close(); err != nil {
			return nil, Recovered{}, err
		}
		return openIn(p.a, o)
	}
	fd, err := unix.FcntlInt(p.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, Recovered{}, err
	}
	return Open(os.NewFile(uintptr(fd), "damaged"), o)
}

func (m *image) commit(off int64) error {
	if m.there[off] {
		return nil
	}
	m.there[off] = true
	return m.a.Commit(off, arena.FrameSize)
}

// frameAt returns the offset of the frame that off lies in.
func frameAt(off int64) int64 { return off &^ (arena.FrameSize - 1) }

// frame returns the bytes of the frame that off lies in.
func (m *image) frame(off int64) []byte { return m.a.Bytes(frameAt(off), arena.FrameSize) }

// words returns the word of each slot, without the lock; 0 where the table has a hole.
func (m *image) words() []word {
	list := make([]word, len(m.s.pages))
	for slot := range list {
		if off := m.s.layout.table + int64(slot)*8; m.there[frameAt(off)] {
			list[slot] = word(m.a.Word(off).Load() &^ lockBit)
		}
	}
	return list
}

// same reports whether the spans hold what the sample holds there.
func (m *image) same(spans ...span) bool {
	for _, p := range spans {
		for p.n > 0 {
			frame := frameAt(p.off)
			n := min(p.n, frame+arena.FrameSize-p.off)
			old := m.s.bytes[frame]
			if m.there[frame] != (old != nil) || old != nil && !bytes.Equal(old[p.off-frame:][:n], m.a.Bytes(p.off, n)) {
				return false
			}
			p.off, p.n = p.off+n, p.n-n
		}
	}
	return true
}

// damage does one thing to the image, seldom some more.
func (m *image) damage(r *rand.Rand) error {
	err := m.damageOnce(r)
	for r.IntN(4) == 0 {
		err = errors.Join(err, m.damageOnce(r))
	}
	return err
}

func (m *image) damageOnce(r *rand.Rand) (err error) {
	did := func(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }
	off := m.anyWord(r)
	at := m.a.Word(off)
	switch r.IntN(12) {
	case 0, 1, 2:
		bit := r.IntN(64)
		did("bit %d of the word at %#x flipped", bit, off)
		at.Store(at.Load() ^ 1<<bit)
	case 3:
		for range 2 + r.IntN(6) {
			off, bit := m.anyWord(r), r.IntN(64)
			did("bit %d of the word at %#x flipped", bit, off)
			m.a.Word(off).Store(m.a.Word(off).Load() ^ 1<<bit)
		}
	case 4, 5:
		v := r.Uint64()
		did("word at %#x set to %#x", off, v)
		at.Store(v)
	case 6:
		did("frame of %#x zeroed", off)
		clear(m.frame(off))
	case 7:
		did("frame of %#x filled with noise", off)
		m.noise(r, off)
	case 8:
		did("frame of %#x punched out", off)
		delete(m.there, frameAt(off))
		err = m.a.Release(frameAt(off), arena.FrameSize)
	case 9:
		to := m.wordLike(r, off)
		did("words at %#x and %#x swapped", off, to)
		m.a.Word(to).Store(at.Swap(m.a.Word(to).Load()))
	case 10:
		to := m.wordLike(r, off)
		if r.IntN(4) > 0 {
			did("word at %#x copied over that at %#x", off, to)
			m.a.Word(to).Store(at.Load())
		} else {
			did("frame of %#x copied over that of %#x", off, to)
			copy(m.frame(to), m.frame(off))
		}
	case 11: // memory where there was none: behind a frame, or anywhere
		area := m.s.layout.areas[1+r.IntN(4)]
		if off = frameAt(off) + arena.FrameSize; r.IntN(2) == 0 || off == m.a.Size() {
			off = area.off + r.Int64N(area.n/arena.FrameSize)*arena.FrameSize
		}
		did("frame of %#x filled with noise, there before: %t", off, m.there[off])
		if err = m.commit(off); err == nil {
			m.noise(r, off)
		}
	}
	return err
}

func (m *image) noise(r *rand.Rand, off int64) {
	for i := range int64(arena.FrameSize / 8) {
		m.a.Word(frameAt(off) + i*8).Store(r.Uint64())
	}
}

// anyWord returns the offset of a word: of what some object's page depends on, or of any frame of any area.
func (m *image) anyWord(r *rand.Rand) int64 {
	for {
		if r.IntN(3) > 0 {
			parts := m.s.parts[r.IntN(len(m.s.parts))]
			part := parts[r.IntN(len(parts))]
			if off := (part.off + r.Int64N(part.n)) &^ 7; len(parts) > 1 && m.there[frameAt(off)] {
				return off
			}
			continue
		}
		frames := m.framesOf(m.s.layout.areas[r.IntN(len(m.s.layout.areas))])
		if len(frames) > 0 && (frames[0] > 0 || r.IntN(4) == 0) { // damage to the superblock is soon told
			return frames[r.IntN(len(frames))] + r.Int64N(arena.FrameSize/8)*8
		}
	}
}

// framesOf returns those of the sample's frames in an area that are still there.
func (m *image) framesOf(a span) (list []int64) {
	i, _ := slices.BinarySearch(m.s.frames, a.off)
	for ; i < len(m.s.frames) && m.s.frames[i] < a.off+a.n; i++ {
		if m.there[m.s.frames[i]] {
			list = append(list, m.s.frames[i])
		}
	}
	return list
}

// wordLike returns the offset of a word in the same area as off, if it finds one, so that the two mostly mean the like.
func (m *image) wordLike(r *rand.Rand, off int64) (other int64) {
	i := slices.IndexFunc(m.s.layout.areas, func(a span) bool { return off < a.off+a.n })
	for range 100 {
		if other = m.anyWord(r); other >= m.s.layout.areas[i].off && other < m.s.layout.areas[i].off+m.s.layout.areas[i].n {
			break
		}
	}
	return other
}
