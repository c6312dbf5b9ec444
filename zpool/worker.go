package zpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Worker is one thread's way into a pool. Its methods are for one goroutine at a time, and allocate nothing unless they
// fail; many workers may be used concurrently. Slots are counted in pages.
type Worker struct {
	p       *Pool
	codec   compressor.Codec
	decoder *compressor.Decoders
	buf     []byte // room for one page, compressed
	raw     int    // the smallest object that is kept raw instead
	disk    bool   // the last page had to be read from the backing file
	unpacked
	cold bool // the page that was just loaded had to be unpacked
	counters
}

// NewWorker makes a worker. It lives as long as the pool.
func (p *Pool) NewWorker() *Worker {
	codec, err := compressor.New(p.codec)
	if err != nil {
		panic(err) // the pool was made with it
	}
	w := &Worker{
		p: p, codec: codec, decoder: compressor.NewDecoders(),
		buf: make([]byte, max(codec.MaxLen(PageSize), PageSize)),
		raw: p.zs.HugeSize(), unpacked: newUnpacked(),
	}
	p.mu.Lock()
	p.mu.workers = append(p.mu.workers, w)
	p.mu.Unlock()
	return w
}

// newReader makes a worker that only reads pages.
func (p *Pool) newReader() *Worker {
	w := &Worker{p: p, decoder: compressor.NewDecoders(), raw: p.zs.HugeSize(), unpacked: newUnpacked()}
	p.mu.Lock()
	p.mu.workers = append(p.mu.workers, w)
	p.mu.Unlock()
	return w
}

// epoch makes reading the clock half as dear: a difference needs no wall time.
var epoch = time.Now()

// pages checks a range and returns its length in pages.
func (w *Worker) pages(first uint64, bytes int) (uint64, error) {
	if bytes%PageSize != 0 {
		panic(fmt.Sprintf("zpool: %d bytes are no whole pages", bytes))
	}
	n := uint64(bytes / PageSize)
	if n > w.p.super.slots || first > w.p.super.slots-n {
		return 0, ErrRange
	}
	return n, nil
}

// Store stores whole pages in the slots from first on, in order. It stops at the first page that cannot be stored and
// returns why: ErrFull, ErrNoMemory or ErrRange; that page's slot and those after it are as they were.
func (w *Worker) Store(first uint64, pages []byte) error {
	n, err := w.pages(first, len(pages))
	if err != nil {
		return err
	}
	begin := time.Since(epoch)
	for i := range n {
		if err := w.storePage(first+i, pages[i*PageSize:][:PageSize]); err != nil {
			w.observe(&w.storeTime, begin, i)
			return err
		}
	}
	w.observe(&w.storeTime, begin, n)
	return nil
}

// observe counts n pages that took the time since begin.
func (w *Worker) observe(h *histogram.Histogram, begin time.Duration, n uint64) {
	if n > 0 {
		h.ObserveN((time.Since(epoch)-begin)/time.Duration(n), n)
	}
}

func (w *Worker) storePage(slot uint64, page []byte) error {
	if err := w.p.commitSlot(slot); err != nil {
		return w.rejected(err)
	}
	if pattern, ok := sameFilled(page); ok {
		if uint32(pattern) == uint32(pattern>>32) {
			w.swap(slot, sameFilledWord(slot, uint32(pattern)))
			return nil
		}
		binary.LittleEndian.PutUint64(w.buf, pattern)
		return w.storeObject(slot, idPattern, w.buf[:8])
	}
	id, bytes := w.compress(page)
	return w.storeObject(slot, id, bytes)
}

// compress packs a page that is not same-filled as new pages are.
func (w *Worker) compress(page []byte) (compressor.ID, []byte) {
	if n := w.codec.Compress(w.buf, page); n > 0 && n < w.raw {
		return w.codec.ID(), w.buf[:n]
	}
	return compressor.Raw, page
}

// storeObject makes an object and then the slot's page of it.
func (w *Worker) storeObject(slot uint64, id compressor.ID, bytes []byte) error {
	if !w.p.admit() {
		return w.rejected(ErrFull)
	}
	h, err := w.p.zs.Put(bytes, checksum(bytes, slot, id))
	if err != nil {
		return w.reject(err)
	}
	step("store: object made")
	w.swap(slot, objectWord(h, id, len(bytes)))
	return nil
}

func (w *Worker) reject(err error) error { return w.rejected(w.p.refused(err)) }

// rejected counts that a page was not taken, for one of the pool's errors.
func (w *Worker) rejected(err error) error {
	if err == ErrFull {
		w.rejectedFull.Add(1)
	} else {
		w.rejectedAlloc.Add(1)
	}
	return err
}

// swap publishes a slot's new word, 0 for none, and frees what the old one named.
func (w *Worker) swap(slot uint64, new word) {
	at := w.p.slots.word(slot)
	old := lockSlot(at)
	step("swap: slot locked")
	file := w.fileOf(old)
	publish(at, new.at(w.p.clock.generation())) // read under the lock: see packer.publish
	step("swap: published")
	w.replaced(slot, old, new, file)
	step("swap: done")
}

// fileOf returns the backing file that the page of a locked slot is in, nil if it is in none. When the slot is no longer locked, the
// file may be removed, and another one be there.
func (w *Worker) fileOf(old word) *backing.File {
	if old.kind() != kindWritten {
		return nil
	}
	return w.p.writeback.file.Load()
}

// replaced counts that a slot has another word now, and frees what the old one named, in file if that is where the page was.
func (w *Worker) replaced(slot uint64, old, new word, file *backing.File) {
	w.count(old, new)
	switch {
	case old == 0 && new != 0:
		w.p.countStored(+1)
	case old != 0 && new == 0:
		w.p.countStored(-1)
	}
	w.dispose(slot, old, file)
}

// dispose frees what a word named, which is no slot's any more.
func (w *Worker) dispose(slot uint64, old word, file *backing.File) {
	whole := true
	switch old.kind() {
	case kindObject:
		whole = w.p.zs.Free(old.handle()) == nil
	case kindMember:
		whole = w.leave(slot, old)
	case kindWritten:
		if file != nil {
			file.Free(old.place())
		}
	}
	if !whole {
		w.corrupt.Add(1) // the old word or its object was damaged; the page is not wanted any more
	}
}

// Load reads whole pages from the slots from first on. A slot that holds nothing reads as zeros. It stops at the first
// page that is damaged, with ErrCorrupt, or cannot be read from the backing file, with ErrUnreadable; what dst then holds from
// there on means nothing. A page in the backing file is waited for; others are not, on other threads.
func (w *Worker) Load(first uint64, dst []byte) error {
	n, err := w.pages(first, len(dst))
	if err != nil {
		return err
	}
	begin := time.Since(epoch)
	for i := range n {
		if err := w.loadPage(first+i, dst[i*PageSize:][:PageSize:PageSize]); err != nil {
			if errors.Is(err, ErrUnreadable) {
				w.unreadable.Add(1)
			} else {
				w.corrupt.Add(1)
			}
			w.observe(&w.loadTime, begin, i)
			return fmt.Errorf("slot %d: %w", first+i, err)
		}
	}
	w.observe(&w.loadTime, begin, n)
	if n == 1 && w.disk {
		w.observe(&w.diskTime, begin, n)
	}
	if n == 1 && w.cold {
		w.observe(&w.coldTime, begin, n)
	}
	return nil
}

func (w *Worker) loadPage(slot uint64, page []byte) error {
	w.cold, w.disk = false, false
	if !w.p.slots.committed(slot) {
		clear(page)
		return nil
	}
	at := w.p.slots.word(slot)
	old := lockSlot(at)
	step("load: slot locked")
	err := w.read(slot, old, page)
	if old.kind() == kindWritten && err == nil {
		w.p.writeback.recent.note(slot, w.p.tiers.now())
	}
	if err == nil && (old.cold() && w.p.hot(old) || old.kind() == kindWritten && w.p.writeback.hot(old)) {
		if new, err := w.promote(slot, page, true); err == nil {
			file := w.fileOf(old)
			publish(at, new.at(w.p.clock.generation()))
			step("promote: published")
			w.replaced(slot, old, new, file)
			step("promote: done")
			return nil
		}
	}
	publish(at, old.at(w.p.clock.generation()))
	return err
}

// promote makes an object of a cold page as if it had just come, and returns the word for it. spare: only where there is memory to spare,
// for stores may have to wait for the reserve, and loads must not, nor take from it what stores will want. The errors are the
// allocator's, as they are: nothing is to be built while a page is waited for.
func (w *Worker) promote(slot uint64, page []byte, spare bool) (word, error) {
	if !w.p.roomy() {
		return 0, ErrFull
	}
	put := (*zsmalloc.Pool).Put
	if spare {
		if w.p.zs.Scarce() {
			return 0, ErrNoMemory
		}
		put = (*zsmalloc.Pool).TryPut
	}
	id, bytes := w.compress(page)
	h, err := put(w.p.zs, bytes, checksum(bytes, slot, id))
	if err != nil {
		return 0, err
	}
	step("promote: object made")
	w.promoted.Add(1)
	return objectWord(h, id, len(bytes)), nil
}

// read puts the page of a locked slot into page.
func (w *Worker) read(slot uint64, old word, page []byte) error {
	switch {
	case old == 0:
		clear(page)
		return nil
	case old.kind() == kindSameFilled && old.ageless() == sameFilledWord(slot, old.pattern()):
		fillPage(page, uint64(old.pattern())<<32|uint64(old.pattern()))
		return nil
	case old.kind() == kindObject:
		return w.readObject(slot, old, page)
	case old.kind() == kindMember:
		return w.readMember(slot, old, page)
	case old.kind() == kindWritten:
		return w.readWritten(slot, old, page)
	}
	return ErrCorrupt
}

func (w *Worker) readObject(slot uint64, old word, page []byte) error {
	object, tag, err := w.p.zs.Pin(old.handle())
	if err != nil {
		return ErrCorrupt
	}
	defer w.p.zs.Unpin(old.handle())
	step("load: object pinned")
	w.cold = old.cold()
	if old.length() > len(object) {
		return ErrCorrupt
	}
	object = object[:old.length():old.length()]
	if checksum(object, slot, old.codec()) != tag {
		return ErrCorrupt
	}
	return w.decode(old.codec(), object, page)
}

// decode makes the page of an object of one page.
func (w *Worker) decode(id compressor.ID, object, page []byte) error {
	if id == idPattern && len(object) == 8 {
		fillPage(page, binary.LittleEndian.Uint64(object))
		return nil
	}
	if err := w.decoder.Decompress(id, page, object); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// Invalidate empties n slots from first on. It returns ErrRange.
func (w *Worker) Invalidate(first, n uint64) error {
	if n > w.p.super.slots || first > w.p.super.slots-n {
		return ErrRange
	}
	for slot, end := first, first+n; slot < end; {
		if !w.p.slots.committed(slot) {
			slot = w.p.slots.nextFrame(slot)
			continue
		}
		if w.p.slots.word(slot).Load() != 0 {
			w.swap(slot, 0)
			w.invalidated.Add(1)
		}
		slot++
	}
	return nil
}
