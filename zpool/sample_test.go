package zpool

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/zsmalloc"
)

// A sample is a store in good order, to be copied and damaged: its memory, what each slot holds, and where that lies.
type sample struct {
	o      Options
	super  superblock
	size   int64 // bytes of the file
	layout layout
	frames []int64          // offsets of the resident frames, rising
	bytes  map[int64][]byte // by offset
	pages  [][]byte         // by slot; nil for an empty one
	parts  [][]span         // by slot: all that its page depends on; the slot word is the first
	member []bool           // by slot: its page is in a cluster
}

// span is n bytes from off in the file.
type span struct{ off, n int64 }

// newSample makes a store of up to n pages, of all kinds and sizes: with zspages that are full, half empty and packed, free
// objects, free handles, and a hole in the slot table.
func newSample(t testing.TB, seed, n uint64) *sample {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	o := Options{
		Slots: 4*slotsPerFrame - 100, MaxBytes: 2 << 20,
		ChainSize:       []int{zsmalloc.DefaultChain, 4, 1}[seed%3],
		RecompressCodec: []string{"minlz:2", "zstd"}[seed%2],
		Compressor:      []string{"minlz", "lz4", "s2", "zstd:1"}[seed%4],
	}
	p, err := New(o)
	noErr(t, err)
	s := &sample{o: o, super: p.super, size: p.a.Size(), layout: newLayout(p.super), bytes: map[int64][]byte{}, pages: make([][]byte, o.Slots)}
	w := p.NewWorker()
	invalidate := func(slot uint64) {
		noErr(t, w.Invalidate(slot, 1))
		s.pages[slot] = nil
	}
	if seed%3 == 1 { // more handles than a frame of their table has
		for slot := range uint64(2 * slotsPerFrame) {
			slot += slot / slotsPerFrame * slotsPerFrame
			s.pages[slot] = make([]byte, PageSize)
			makePage(s.pages[slot], 2, slot)
			noErr(t, w.Store(slot, s.pages[slot]))
		}
		for slot := range s.pages {
			if s.pages[slot] != nil && r.IntN(10) > 0 {
				invalidate(uint64(slot))
			}
		}
	}
	for round := range 3 {
		for range n {
			slot := []uint64{0, 2, 3}[r.IntN(3)]*slotsPerFrame + r.Uint64N(n/3)
			if s.pages[slot] != nil && r.IntN(2) == 0 {
				invalidate(slot)
				continue
			}
			s.pages[slot] = make([]byte, PageSize)
			anyPage(r, s.pages[slot])
			noErr(t, w.Store(slot, s.pages[slot]))
		}
		if round > 0 { // pages of the last round stay as they are, but for those that are packed again with them
			packSome(t, p, w, r)
		}
		for more := true; more; {
			_, more = p.Compact(1 << 20)
		}
	}
	for slot := range s.pages { // and now packed no more
		if s.pages[slot] != nil && r.IntN(5) == 0 {
			invalidate(uint64(slot))
		}
	}
	noErr(t, p.Check())
	for slot := range s.pages {
		s.parts = append(s.parts, s.layout.parts(p, uint64(slot)))
		s.member = append(s.member, p.slots.committed(uint64(slot)) && word(p.slots.word(uint64(slot)).Load()).kind() == kindMember)
	}
	noErr(t, p.a.Resident(0, p.a.Size(), func(off, n int64) {
		for end := off + n; off < end; off += arena.FrameSize {
			s.frames = append(s.frames, off)
			s.bytes[off] = bytes.Clone(p.a.Bytes(off, arena.FrameSize))
		}
	}))
	noErr(t, p.Close())
	for _, parts := range s.parts { // some are locked or pinned, as who is killed at work leaves them
		for _, part := range parts[:min(len(parts), 2)] {
			if len(parts) > 1 && r.IntN(10) == 0 {
				s.bytes[frameAt(part.off)][part.off%arena.FrameSize] |= lockBit
			}
		}
	}
	return s
}

// packSome packs the pages of some windows.
func packSome(t testing.TB, p *Pool, w *Worker, r *rand.Rand) {
	p.Tick()
	page := make([]byte, PageSize)
	for slot := range p.Slots() {
		if p.slots.committed(slot) && r.IntN(2*windowSlots) == 0 {
			noErr(t, w.Load(slot, page)) // so it is not idle
		}
	}
	for more := true; more; {
		var err error
		_, more, err = p.Recompress(0, 1000)
		noErr(t, err)
	}
}

// anyPage makes a page of any kind, or one that compresses to any size.
func anyPage(r *rand.Rand, page []byte) {
	if r.IntN(2) == 0 {
		makePage(page, r.IntN(pageKinds), r.Uint64())
		return
	}
	clear(page)
	for i := range 1 + r.IntN(PageSize) {
		page[i] = byte(r.Uint32())
	}
}

// layout is where things lie in a store: the format, told a second time.
type layout struct {
	table, handles, headers int64
	lanes                   [5]int64
	areas                   []span // the five parts of the file
}

func newLayout(s superblock) (l layout) {
	next := int64(0)
	take := func(n int64) (at int64) {
		at, next = next, next+(n+arena.ChunkSize-1)/arena.ChunkSize*arena.ChunkSize
		return at
	}
	take(1)
	l.table = take(int64(s.slots) * 8)
	l.handles = take((int64(s.slots) + 1024 + 1) * 8)
	l.headers = take((s.maxFrames + 1) * 8)
	for i := range l.lanes {
		l.lanes[i] = take((s.maxFrames + 1) << i * arena.FrameSize)
	}
	ends := []int64{0, l.table, l.handles, l.headers, l.lanes[0], next}
	for i := range len(ends) - 1 {
		l.areas = append(l.areas, span{ends[i], ends[i+1] - ends[i]})
	}
	return l
}

// parts returns where the word of a slot lies, and the handle word, the header and the bytes of its object, if it has one.
func (l *layout) parts(p *Pool, slot uint64) []span {
	list := []span{{l.table + int64(slot)*8, 8}}
	if !p.slots.committed(slot) {
		return list
	}
	w := p.slots.word(slot).Load()
	if k := kind(w >> 1 & 7); k != kindObject && k != kindMember {
		return list
	}
	at := l.handles + int64(w>>32)*8
	place := p.a.Word(at).Load() // live:1 | spare:11 | run:32 | class:8 | index:11 | pin:1
	run, class, index, length := int64(place>>20&(1<<32-1)), int(place>>12&255), int64(place>>1&(1<<11-1)), int64(w>>16&(1<<13-1))
	classes := p.zs.Stats().Classes
	c := classes[slices.IndexFunc(classes, func(c zsmalloc.ClassStats) bool { return c.Class == class })]
	lane := 0
	for 1<<lane < c.PagesPerZspage {
		lane++
	}
	object := l.lanes[lane] + run<<lane*arena.FrameSize + index*int64(c.Size)
	header := span{object, 8}
	if c.Size == arena.FrameSize {
		header.off = l.headers + run*8
	} else {
		object += 8
	}
	return append(list, span{at, 8}, header, span{object, length})
}

// TestLayout: the format is what the tests of damage think it is.
func TestLayout(t *testing.T) {
	for seed := range uint64(3) {
		s := newSample(t, seed, 300)
		objects, members := 0, 0
		for slot, parts := range s.parts {
			if len(parts) == 1 {
				continue
			}
			objects++
			var got [3][]byte
			w := s.read(parts[0])
			for i, part := range parts[1:] {
				got[i] = s.read(part)
			}
			handle, tag := binary.LittleEndian.Uint32(got[1]), binary.LittleEndian.Uint32(got[1][4:])
			sum := checksum(got[2], uint64(slot), word(binary.LittleEndian.Uint64(w)).codec())
			if kind(w[0]>>1&7) == kindMember {
				members++
				sum = clusterChecksum(got[2], uint64(slot)/16*16)
			}
			if handle != binary.LittleEndian.Uint32(w[4:]) || tag != sum {
				t.Fatalf("sample %d, slot %d: header %x of the object of slot word %x", seed, slot, got[1], w)
			}
		}
		if objects < 100 || members < 10 || members > objects-20 {
			t.Errorf("sample %d has %d objects of pages, %d of them clusters", seed, objects, members)
		}
	}
}

// read returns the bytes of a span in the sample.
func (s *sample) read(p span) (b []byte) {
	for ; p.n > 0; p.off, p.n = p.off+1, p.n-1 {
		b = append(b, s.bytes[p.off&^(arena.FrameSize-1)][p.off%arena.FrameSize])
	}
	return b
}
