package zpool

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/backing"
)

// writeback takes pages that nobody uses to the backing file, as they are.
//
// A page's object is copied under its slot's lock, which is then given back: nobody waits for the disk. When the disk has
// all of a batch, the slots get their new words, each in one compare-and-swap, only if nobody has touched the slot
// meanwhile; then the objects are freed. A kill leaves some pages in memory and some in the file, and bytes in the file that
// no slot names. If the disk refuses, the pages stay where they are.
type writeback struct {
	p    *Pool
	file atomic.Pointer[backing.File] // nil: none

	mu     sync.Mutex // held for a step. Lock order: writeback.mu → tiers.mu, the turn of the file
	w      *Worker    // counts, and brings pages back; nil until it is needed
	next   uint64     // slot at which the next batch begins
	left   uint64     // slots that this step may still look at
	most   int64      // bytes of a batch
	flight            // what the batch has
	other  flight     // what the one before has, which may not have been committed yet
	object []byte     // room for one
	once   once
	idle   uint8 // of this step: the least age of pages that are written
	raw    uint8 // and of those that do not compress

	flow   atomic.Bool // pages are being written because the pool is all but full
	recent refaults
	loop   loop
	hotAge atomic.Uint32 // a page that was used so many generations ago is brought back into memory when it is used again
	told   struct {
		sync.Mutex
		did   Written
		clean Cleaned
		err   error // the last failure
	}
}

// flight is pages on their way to another place, together.
type flight struct {
	items []leaving
	since uint64 // generation in which they were chosen
}

// leaving is a page on its way to another place.
type leaving struct {
	slot uint64
	old  word
	to   backing.Place
}

const (
	batchPages = 16 << 10
	// scanMost is how many slots a step looks at.
	scanMost = 1 << 20
	// ticksMost is how many generations may begin before a batch is on the disk. After 256 a page that was stored meanwhile
	// could look like the one that was there.
	ticksMost = 32
	// oldestOut is the greatest age that cannot come round until then. Older words wait for the sweep, which makes them veryOld.
	oldestOut = 255 - ticksMost
)

// Written says what steps of writeback did.
type Written struct {
	Pages uint64 // written
	Bytes int64  // of the file that they took
	Lost  uint64 // pages that somebody touched meanwhile, so that it was all for nothing
}

func (w *Written) add(o Written) {
	w.Pages, w.Bytes, w.Lost = w.Pages+o.Pages, w.Bytes+o.Bytes, w.Lost+o.Lost
}

// WriteBack is one step of writeback: it writes pages that were not touched for idle generations to the backing file,
// up to so many bytes, going on in the slot table where the last step ended; pages that do not compress already after raw
// generations. Pages that were touched in this generation are never written, nor those of a region of which a page came back
// within the last 45 s. more is false when there was nothing left to write. The errors are those of backing.File.Begin, or
// the disk's; all pages then are where they were.
func (p *Pool) WriteBack(idle, raw uint8, bytes int64) (did Written, more bool, err error) {
	b := &p.writeback
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.file.Load()
	if f == nil {
		return did, false, backing.ErrNone
	}
	b.idle, b.raw, b.left = max(idle, 1), max(raw, 1), min(p.super.slots, scanMost)
	did, more, err = b.write(f, bytes)
	b.told.Lock()
	defer b.told.Unlock()
	b.told.did.add(did)
	if failure(err) {
		b.told.err = err
	}
	return did, more, err
}

// failure reports whether an error is none of those that a file gives whose disk is in order, or that is waiting after one.
func failure(err error) bool {
	for _, other := range []error{backing.ErrNone, backing.ErrFull, backing.ErrLimit, backing.ErrBackOff} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}

// write writes batches. While one is written, the one before is synced, and its slots get their new words.
func (b *writeback) write(f *backing.File, bytes int64) (did Written, more bool, err error) {
	var under chan landed // the batch before, if it has not landed
	wait := func() (err error) {
		if under != nil {
			l := <-under
			did.add(l.did)
			under, err = nil, l.err
			b.pace(l)
		}
		return err
	}
	defer func() {
		if e := wait(); err == nil {
			err = e
		}
	}()
	for more = true; more && bytes > 0 && b.left > 0; {
		size := min(bytes, b.most)
		batch, e := f.Begin(size, false)
		if e != nil {
			if did.Pages == 0 && under == nil {
				err = e
			}
			return did, more, err
		}
		b.flight, b.other = b.other, b.flight
		b.items, b.since = b.items[:0], b.p.clock.at.Load()
		more = b.collect(batch)
		step("writeback: collected")
		err = batch.Write()
		step("writeback: written")
		before := wait()
		if err != nil {
			b.giveUp(f, b.items)
			return did, more, err
		}
		if before != nil { // then this one is not safe, either
			did.add(b.land(f, batch, b.flight).did)
			return did, more, before
		}
		bytes -= size
		done, flight := make(chan landed, 1), b.flight
		under = done
		go func() { done <- b.land(f, batch, flight) }()
	}
	return did, more, nil
}

// landed is what became of a batch.
type landed struct {
	did  Written
	late bool // it was given up because it took too long
	err  error
}

// pace makes batches smaller if the disk is too slow for them, and slowly larger again.
func (b *writeback) pace(l landed) {
	switch {
	case l.late:
		b.most = max(b.most/2, leastWrite)
	case l.err == nil:
		b.most = min(b.most+b.most/8, backing.BatchBytes)
	}
}

// land waits until a batch is safe and then commits it.
func (b *writeback) land(f *backing.File, batch *backing.Batch, w flight) landed {
	err := batch.Sync()
	step("writeback: on the disk")
	if err != nil {
		b.giveUp(f, w.items)
		return landed{err: err}
	}
	return b.commit(f, w)
}

// collect fills a batch. It reports whether there may be more to write.
func (b *writeback) collect(batch *backing.Batch) (more bool) {
	p, now := b.p, b.p.tiers.now()
	for {
		window := windowOf(b.next)
		end := window + windowSlots
		switch {
		case b.next >= p.super.slots:
			b.next = 0
			continue
		case b.left == 0:
			return p.super.slots > scanMost
		case !p.slots.committed(b.next):
			end = p.slots.nextFrame(b.next)
		case b.recent.recent(b.next, now):
		case !b.window(batch, window):
			return true
		}
		b.left -= min(end-window, b.left)
		b.next = end
	}
}

// window adds what of a window is idle, from next on. If the batch is full it reports false, and next is what did not fit.
func (b *writeback) window(batch *backing.Batch, window uint64) bool {
	for slot := b.next; slot < min(window+windowSlots, b.p.super.slots); slot++ {
		w := word(b.p.slots.word(slot).Load())
		if w == 0 || w&lockBit != 0 {
			continue
		}
		age := b.p.clock.age(w)
		fits := true
		switch {
		case age > oldestOut:
		case w.kind() == kindObject && w.codec() == idPattern: // takes less in memory
		case w.kind() == kindObject && (age >= b.idle || w.codec() == compressor.Raw && age >= b.raw):
			fits = b.add(batch, slot, w, slot, w.codec())
		case w.kind() == kindMember && age >= b.idle && b.cluster(window, slot, w):
			fits = b.add(batch, slot, w, window, idCluster)
		}
		if !fits || len(b.items)+windowSlots > batchPages {
			if b.next = slot; fits {
				b.next++
			}
			return false
		}
	}
	return true
}

// cluster reports whether slot is the first member of a cluster all of whose members are idle.
func (b *writeback) cluster(window, slot uint64, w word) bool {
	for other := window; other < min(window+windowSlots, b.p.super.slots); other++ {
		o := word(b.p.slots.word(other).Load() &^ lockBit)
		if o.kind() == kindMember && o.handle() == w.handle() && (other < slot || !b.ripe(o)) {
			return false
		}
	}
	return true
}

// ripe reports whether a member of a cluster is old enough to be written, and not too old.
func (b *writeback) ripe(w word) bool {
	age := b.p.clock.age(w)
	return age >= b.idle && age <= oldestOut
}

// add adds the object of a slot, in the name of owner, and notes all slots that name it. Who else names a cluster is looked up
// before it is copied: if the first member's word is then still w, the handle was that cluster's all the time. Afterwards it may be
// that of another one, of the same slots.
func (b *writeback) add(batch *backing.Batch, slot uint64, w word, owner uint64, id compressor.ID) (fits bool) {
	first := len(b.items)
	b.items = append(b.items, leaving{slot: slot, old: w})
	if id == idCluster {
		for other := slot + 1; other < min(owner+windowSlots, b.p.super.slots); other++ {
			o := word(b.p.slots.word(other).Load() &^ lockBit)
			if o.kind() == kindMember && o.handle() == w.handle() && b.ripe(o) {
				b.items = append(b.items, leaving{slot: other, old: o})
			}
		}
	}
	step("writeback: members listed")
	check, ok := b.copy(slot, w)
	if !ok {
		b.items = b.items[:first]
		return true // somebody has come
	}
	step("writeback: object copied")
	if id == idCluster {
		forFile(b.object)
	}
	place, fits := batch.Add(backing.Object{Slot: uint32(owner), Check: check, Codec: uint8(id)}, b.object, len(b.items)-first)
	if !fits {
		b.items = b.items[:first]
		return false
	}
	for i := range b.items[first:] {
		b.items[first+i].to = place
	}
	return true
}

// copy copies a slot's object, if its word is still what it was and the object is whole, and returns its tag.
func (b *writeback) copy(slot uint64, w word) (check uint32, ok bool) {
	at := b.p.slots.word(slot)
	if !tryLockSlot(at, w) {
		return 0, false
	}
	defer publish(at, w)
	step("writeback: slot locked")
	object, tag, err := b.p.zs.Pin(w.handle())
	if err != nil {
		return 0, false
	}
	defer b.p.zs.Unpin(w.handle())
	if w.length() > len(object) {
		return 0, false
	}
	b.object = append(b.object[:0], object[:w.length()]...)
	if w.kind() == kindMember {
		return tag, len(b.object) > clusterHeader && clusterChecksum(b.object, windowOf(slot)) == tag
	}
	return tag, checksum(b.object, slot, w.codec()) == tag // else who loads it will be told
}

// commit gives the slots their new words, and frees what they had in memory. That a word is the same means that the page is:
// see packer.publish.
func (b *writeback) commit(f *backing.File, w flight) landed {
	p, did := b.p, Written{}
	p.tiers.mu.Lock() // the clock stands still
	defer p.tiers.mu.Unlock()
	if p.clock.at.Load()-w.since > ticksMost {
		b.giveUp(f, w.items)
		return landed{did: Written{Lost: uint64(len(w.items))}, late: true}
	}
	last := backing.Place(0)
	for _, i := range w.items {
		to := writtenWord(i.to, i.old.codec()).at(i.old.age())
		if !p.slots.word(i.slot).CompareAndSwap(uint64(i.old), uint64(to)) {
			f.Free(i.to)
			did.Lost++
			continue
		}
		step("writeback: published")
		b.w.replaced(i.slot, i.old, to, nil)
		step("writeback: object freed")
		did.Pages++
		if i.to != last {
			did.Bytes += i.to.Bytes()
			last = i.to
			b.once.add(last)
		}
	}
	return landed{did: did}
}

// giveUp takes back what a batch has claimed.
func (b *writeback) giveUp(f *backing.File, items []leaving) {
	for _, i := range items {
		f.Free(i.to)
	}
}

// open takes a file into use, or none.
func (b *writeback) open(p *Pool, f *backing.File) {
	if b.p = p; b.loop.wakeups == nil {
		b.loop.wakeups = make(chan struct{}, 1)
	}
	if f == nil {
		return
	}
	if b.w == nil {
		b.w = p.NewWorker() // whole, for RemoveBacking, which may come when there is no memory for another
		b.items, b.other.items = make([]leaving, 0, batchPages+windowSlots), make([]leaving, 0, batchPages+windowSlots)
		b.object = make([]byte, 0, PageSize)
	}
	b.once = once{units: make([]int32, f.Bytes()/backing.ExtentBytes)}
	b.most = backing.BatchBytes
	b.file.Store(f)
	b.wake()
}

// each calls visit with the word of each written page.
func (b *writeback) each(visit func(slot uint64, w word)) {
	b.p.slots.each(func(slot uint64, at *atomic.Uint64) bool {
		if w := word(at.Load()); w.kind() == kindWritten {
			visit(slot, w)
		}
		return true
	})
}

// close lets go of the file.
func (b *writeback) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.file.Swap(nil)
	if f == nil {
		return nil
	}
	return f.Close()
}

// errNoBacking says that there is no file to work with.
var errNoBacking = errors.New("there is no backing file")
