package zpool

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/zsmalloc"
)

var damagesFlag = flag.Int("damages", 1000, "stores that TestDamage damages and opens")

const (
	damageSamples = 12
	damagePages   = 240
	damageHang    = time.Minute // for one store, which takes some milliseconds; then a panic says where it is
)

// TestDamage damages stores at random and opens them. Whatever was hit, a slot gives the page that was stored or says that
// it is damaged; what was not hit is all there; the report of what is lost is right; and the pool works.
func TestDamage(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a SIGSEGV or SIGBUS of ours is a panic, with a seed
	first := *seedFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	var samples [damageSamples]*sample
	refused, lost, damaged, tries := 0, uint64(0), 0, *damagesFlag
	for seed := first; seed < first+uint64(tries); seed++ {
		s := &samples[seed%damageSamples]
		if *s == nil {
			*s = newSample(t, seed%damageSamples, damagePages)
		}
		r := rand.New(rand.NewPCG(seed, 3))
		m, err := (*s).image((*s).size)
		noErr(t, err)
		if m.a.File() == nil && seed == first { // Go memory takes longer
			tries = (tries + 19) / 20
		}
		m.log = []string{fmt.Sprintf("go test ./zpool -run '^TestDamage$' -seed=%d -damages=1", seed)}
		noErr(t, m.damage(r))
		rec, bad, err := m.try(r)
		switch {
		case errors.Is(err, errRefused):
			refused++
		case err != nil:
			t.Fatalf("%s\n%v", strings.Join(m.log, "\n"), err)
		}
		lost, damaged = lost+rec.Lost, damaged+len(bad)
	}
	t.Logf("%d stores, %d of them refused; %d pages damaged, %d of them reported lost", tries, refused, damaged, lost)
	if tries >= 1000 && (refused < tries/1000 || damaged < tries || uint64(damaged) == lost) {
		t.Error("too little was damaged to test anything")
	}
}

var errRefused = errors.New("refused")

// before is what can be said of an image before it is opened.
type before struct {
	super bool   // the superblock is as it was
	words []word // of the slots
	hit   []bool // by slot: something that its page depends on is not as it was
	// Objects whose slots' words were hit, or, for most, their own handles or headers; and those of them that are
	// otherwise in order and named by nobody.
	least, most uint64
}

func (m *image) before() before {
	b := before{super: m.same(span{0, superblockSize}), words: m.words()}
	named := map[zsmalloc.Handle]bool{}
	for _, w := range b.words {
		if w.kind() == kindObject || w.kind() == kindMember {
			named[w.handle()] = true
		}
	}
	least, most := map[zsmalloc.Handle]bool{}, map[zsmalloc.Handle]bool{}
	for slot, parts := range m.s.parts {
		b.hit = append(b.hit, !m.same(parts...))
		if len(parts) == 1 {
			continue
		}
		handle := zsmalloc.Handle((parts[1].off - m.s.layout.handles) / 8)
		if b.hit[slot] && (m.s.member[slot] || !m.same(parts[:3]...)) { // recovery looks at the bytes of clusters
			most[handle] = true
		}
		if !named[handle] && m.same(parts[1:]...) {
			least[handle] = true
		}
	}
	b.least, b.most = uint64(len(least)), uint64(len(most))
	return b
}

// try opens the image, which it closes, and uses the pool. It returns the report, the slots that could not be read, and the
// first thing that is wrong; errRefused, if the superblock was hit and the store refused, is nothing wrong.
func (m *image) try(r *rand.Rand) (rec Recovered, damaged []uint64, err error) {
	hang := time.AfterFunc(damageHang, func() { panic("hangs: " + strings.Join(m.log, "\n")) })
	defer hang.Stop()
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v\n%s", e, debug.Stack())
		}
	}()
	b := m.before()
	p, rec, err := m.open()
	switch {
	case err != nil && !b.super:
		return rec, nil, fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		return rec, nil, err
	case !b.super:
		return rec, nil, errors.Join(errors.New("a damaged superblock was taken"), p.Close())
	}
	defer func() {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	w := damageWorker(p)
	if damaged, err = b.verify(w, rec, m.s.pages); err != nil {
		return rec, damaged, err
	}
	if r.IntN(8) == 0 { // what was recovered is a store like any other
		var again Recovered
		if p, again, err = reopen(p); err != nil {
			return rec, damaged, fmt.Errorf("opened again: %w", err)
		}
		w, b.least, b.most = damageWorker(p), 0, 0
		if list, err := b.verify(w, again, m.s.pages); err != nil || again.Lost != rec.Lost || !slices.Equal(list, damaged) {
			return rec, damaged, fmt.Errorf("opened again: %+v, was %+v; damaged %d, was %d; %w", again, rec, list, damaged, err)
		}
	}
	if err := mend(r, w, damaged); err != nil {
		return rec, damaged, err
	}
	return rec, damaged, useAfter(r, w)
}

// verify compares what the pool serves with what was stored, and the report with that. It returns the slots that cannot
// be read.
func (b *before) verify(w *Worker, rec Recovered, pages [][]byte) (damaged []uint64, err error) {
	p := w.p
	headers, err := p.zs.CheckDamaged() // their pages are found when they are loaded
	if err := errors.Join(err, p.checkMemory()); err != nil {
		return nil, err
	}
	got, zeros := make([]byte, PageSize), make([]byte, PageSize)
	stored, lost := uint64(0), uint64(0)
	for slot, want := range pages {
		if want == nil {
			want = zeros
		}
		if b.words[slot] != 0 {
			stored++
		}
		isLost := p.slots.committed(uint64(slot)) && word(p.slots.word(uint64(slot)).Load()) == lostWord
		if isLost {
			lost++
		}
		err := w.Load(uint64(slot), got)
		switch {
		case err == nil && isLost:
			return damaged, fmt.Errorf("slot %d: lost, and served", slot)
		case err != nil && !b.hit[slot]:
			return damaged, fmt.Errorf("slot %d: nothing of it was hit; lost: %t, %w", slot, isLost, err)
		case errors.Is(err, ErrCorrupt):
			damaged = append(damaged, uint64(slot))
		case err != nil:
			return damaged, err
		case b.words[slot] == 0 && bytes.Equal(got, zeros): // not to be told from a page that was never stored
		case !bytes.Equal(got, want):
			return damaged, fmt.Errorf("slot %d: wrong bytes; word %#x, hit: %t", slot, b.words[slot], b.hit[slot])
		}
	}
	if len(headers) > len(damaged) {
		return damaged, fmt.Errorf("%d headers are damaged, %d pages", len(headers), len(damaged))
	}
	if rec.Pages != stored || rec.Lost != lost || rec.Unclaimed < b.least || rec.Unclaimed > b.most {
		return damaged, fmt.Errorf("recovered %+v; want %d pages, %d lost, %d to %d unclaimed", rec, stored, lost, b.least, b.most)
	}
	return damaged, nil
}

// mend puts an end to what is damaged, one way or the other.
func mend(r *rand.Rand, w *Worker, damaged []uint64) error {
	page := make([]byte, PageSize)
	for _, slot := range damaged {
		var err error
		if r.IntN(2) == 0 {
			err = w.Invalidate(slot, 1)
		} else {
			err = w.Store(slot, page)
		}
		if err != nil {
			return err
		}
	}
	return w.p.check(w)
}

// useAfter does with a pool that was recovered what is done with any.
func useAfter(r *rand.Rand, w *Worker) error {
	p := w.p
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	want := map[uint64]uint64{}
	for range 100 {
		slot, seed := r.Uint64N(p.Slots()), r.Uint64()
		makePage(page, int(seed%pageKinds), seed)
		if err := w.Store(slot, page); err != nil {
			return err
		}
		want[slot] = seed
		if r.IntN(10) == 0 {
			p.Compact(r.IntN(1 << 16))
		}
	}
	for slot, seed := range want {
		if err := w.Load(slot, got); err != nil {
			return err
		}
		if makePage(page, int(seed%pageKinds), seed); !bytes.Equal(page, got) {
			return fmt.Errorf("slot %d of the recovered pool: wrong bytes", slot)
		}
	}
	if err := p.check(w); err != nil {
		return err
	}
	if err := w.Invalidate(0, p.Slots()); err != nil {
		return err
	}
	if s := p.Stats(); s.StoredPages != 0 || s.CompressedBytes != 0 || p.zs.Stats().Objects != 0 {
		return fmt.Errorf("after all was invalidated: %d pages, %d bytes, %d objects", s.StoredPages, s.CompressedBytes, p.zs.Stats().Objects)
	}
	return p.check(w)
}

var damageCodec = sync.OnceValues(func() (compressor.Codec, *compressor.Decoders) {
	codec, err := compressor.New(compressor.Default)
	if err != nil {
		panic(err)
	}
	return codec, compressor.NewDecoders()
})

// damageWorker is NewWorker with a codec and decoders that all tests of damage share: to make them takes longer than all
// else together.
func damageWorker(p *Pool) *Worker {
	w := &Worker{p: p, buf: make([]byte, 2*PageSize), raw: p.zs.HugeSize(), unpacked: newUnpacked()}
	w.codec, w.decoder = damageCodec()
	p.mu.workers = append(p.mu.workers, w)
	return w
}
