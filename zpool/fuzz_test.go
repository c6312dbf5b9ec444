package zpool

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/zswapd/zswapd/internal/arena"
)

// FuzzOpen opens a small store that bytes were written into: over the superblock, whose checksum is mended if super does
// not reach it, and patches of the other frames: frame and offset in 2 bytes each, length in 1, then the bytes; no bytes
// punch the frame out. What must hold is what TestDamage asks, and no less.
func FuzzOpen(f *testing.F) {
	s := newSample(f, 0, 45)
	s.addSeeds(f)
	f.Fuzz(func(t *testing.T, super, patches []byte) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		b := slices.Clone(s.bytes[0][:superblockSize])
		if n := copy(b, super); n > 0 && n < 44 {
			binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
		}
		size, lies := s.size, false
		if g, err := decodeSuperblock(b); err == nil && string(b) != string(s.bytes[0][:superblockSize]) {
			if lies = true; g.size() <= 1<<30 {
				size = g.size()
			}
		}
		m, err := s.image(size)
		noErr(t, err)
		copy(m.frame(0), b)
		noErr(t, m.patch(patches))
		r := rand.New(rand.NewPCG(1, 1))
		if !lies {
			if _, _, err := m.try(r); err != nil && !errors.Is(err, errRefused) {
				t.Fatalf("%v\n%s", err, hex.Dump(patches))
			}
			return
		}
		p, _, err := m.open()
		if err != nil {
			return
		}
		if err := errors.Join(verifyLies(r, p, m.s.pages), p.Close()); err != nil {
			t.Fatalf("%v\n%s", err, hex.Dump(patches))
		}
	})
}

// addSeeds damages each thing once, and shows what may be written where.
func (s *sample) addSeeds(f *testing.F) {
	patch := func(off int64, b []byte) (list []byte) {
		list = binary.LittleEndian.AppendUint16(list, uint16(slices.Index(s.frames, frameAt(off))-1))
		list = binary.LittleEndian.AppendUint16(list, uint16(off%arena.FrameSize))
		return append(append(list, byte(len(b))), b...)
	}
	f.Add([]byte{}, []byte{})
	for i, g := range []superblock{{s.super.slots * 2, s.super.maxFrames, 16}, {100, s.super.maxFrames, 16}, {s.super.slots, 100, 4}} {
		b := make([]byte, superblockSize)
		g.encode(b)
		f.Add(b[:44-i%2*4], []byte{})
	}
	var last []span
	for _, parts := range s.parts {
		if len(parts) == 1 {
			continue
		}
		if last == nil {
			for _, part := range parts {
				for i := range min(part.n, 8) {
					f.Add([]byte{}, patch(part.off+i, []byte{s.read(span{part.off + i, 1})[0] ^ 0x40}))
				}
				f.Add([]byte{}, patch(part.off, nil))
			}
		} else {
			for i := range 2 { // slot words, handle words: one over the other, and swapped
				one, other := patch(last[i].off, s.read(parts[i])), patch(parts[i].off, s.read(last[i]))
				f.Add([]byte{}, one)
				f.Add([]byte{}, other)
				f.Add([]byte{}, append(one, other...))
			}
			return
		}
		last = parts
	}
}

// patch writes patches into the image. A slot whose new word is that of a same-filled page, check included, has that page:
// 16 bits are soon guessed by who wants to.
func (m *image) patch(patches []byte) error {
	frames := m.s.frames[1:]
	for len(patches) >= 5 {
		off := frames[int(binary.LittleEndian.Uint16(patches))%len(frames)]
		at, n := int64(binary.LittleEndian.Uint16(patches[2:])%arena.FrameSize), min(int(patches[4]), len(patches)-5)
		bytes := patches[5 : 5+n]
		patches = patches[5+n:]
		switch {
		case n > 0 && m.there[off]:
			copy(m.frame(off)[at:], bytes)
		case m.there[off]:
			delete(m.there, off)
			if err := m.a.Release(off, arena.FrameSize); err != nil {
				return err
			}
		}
	}
	changed := *m.s
	m.s, changed.pages = &changed, slices.Clone(changed.pages)
	for slot, w := range m.words() {
		if w.kind() == kindSameFilled && w.ageless() == sameFilledWord(uint64(slot), w.pattern()) {
			changed.pages[slot] = make([]byte, PageSize)
			fillPage(changed.pages[slot], uint64(w.pattern())<<32|uint64(w.pattern()))
		}
	}
	return nil
}
