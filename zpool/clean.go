package zpool

import (
	"errors"

	"github.com/zswapd/zswapd/internal/backing"
)

// Cleaned says what steps of cleaning the backing file did.
type Cleaned struct {
	Extents uint64 // emptied
	Objects uint64 // moved out of them
	Bytes   int64  // that those take
}

func (c *Cleaned) add(o Cleaned) {
	c.Extents, c.Objects, c.Bytes = c.Extents+o.Extents, c.Objects+o.Objects, c.Bytes+o.Bytes
}

// An extent is emptied if less than cleanPercent of it is wanted, and what is in it takes less than worthPercent.
const (
	cleanPercent = 75
	worthPercent = 85
)

var errNotWorth = errors.New("too much is left in the extent")

// CleanBacking is one step of the log cleaner: it moves what is wanted out of the emptiest extent of the backing file, so that
// the extent can be written again. more is false if there is none worth it; a step may find nothing to move and have more to look at.
func (p *Pool) CleanBacking() (did Cleaned, more bool, err error) {
	b := &p.writeback
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.file.Load()
	if f == nil {
		return did, false, backing.ErrNone
	}
	extent, ok, more := b.emptiest(f)
	if !ok {
		return did, more, nil
	}
	batch, err := f.Begin(2*backing.ExtentBytes, true)
	if err != nil {
		f.Done(extent, backing.Again)
		return did, false, err
	}
	if did, err = b.empty(f, batch, extent); err == errNotWorth {
		f.Done(extent, backing.NotWorth)
		return did, true, nil
	}
	outcome := backing.Emptied
	switch {
	case errors.Is(err, backing.ErrRead): // the others may be in order
		outcome = backing.NotWorth
	case err != nil:
		outcome = backing.Again
	}
	f.Done(extent, outcome)
	b.told.Lock()
	defer b.told.Unlock()
	b.told.clean.add(did)
	if failure(err) {
		b.told.err = err
	}
	return did, err == nil, err
}

// empty moves the objects of an extent that slots name.
func (b *writeback) empty(f *backing.File, batch *backing.Batch, extent int) (did Cleaned, err error) {
	b.items = b.items[:0]
	did = Cleaned{Extents: 1}
	err = f.Walk(extent,
		func(o backing.Object, p backing.Place) bool { return b.owners(o, p, nil) > 0 },
		func(o backing.Object, p backing.Place, bytes []byte) error {
			first := len(b.items)
			if first+windowSlots > cap(b.items) {
				return errNotWorth
			}
			n := b.owners(o, p, &b.items)
			to, fits := batch.Add(o, bytes, n)
			if !fits { // that says nothing of the extent
				b.items = b.items[:first]
				return batch.Refusal()
			}
			b.setPlaces(first, to)
			if did.Bytes+to.Bytes() > backing.ExtentBytes*worthPercent/100 {
				return errNotWorth
			}
			b.once.add(to)
			did.Objects++
			did.Bytes += to.Bytes()
			return nil
		})
	if err != nil {
		batch.Drop()
	} else {
		err = batch.Flush()
	}
	step("clean: on the disk")
	if err != nil {
		b.giveUp(f, b.items)
		return Cleaned{}, err
	}
	for _, i := range b.items {
		b.move(f, i)
	}
	return did, nil
}

func (b *writeback) setPlaces(first int, to backing.Place) {
	for i := range b.items[first:] {
		b.items[first+i].to = to
	}
}

// owners returns how many slots name an object at a place, and adds them to list, if there is one.
func (b *writeback) owners(o backing.Object, p backing.Place, list *[]leaving) (n int) {
	first, end := uint64(o.Slot), uint64(o.Slot)+1
	if o.Codec == uint8(idCluster) {
		first, end = windowOf(first), windowOf(first)+windowSlots
	}
	for slot := first; slot < min(end, b.p.super.slots); slot++ {
		if !b.p.slots.committed(slot) {
			continue
		}
		w := word(b.p.slots.word(slot).Load() &^ lockBit)
		if w.kind() != kindWritten || w.place() != p || uint8(w.codec()) != o.Codec {
			continue
		}
		if n++; list != nil {
			*list = append(*list, leaving{slot: slot, old: w})
		}
	}
	return n
}

// move gives a slot the word of its object's new place, if it still names the old one. The extent is not written over while it
// is emptied, so the same place means the same object. A load that is under way has the slot locked until it is done.
func (b *writeback) move(f *backing.File, i leaving) {
	at := b.p.slots.word(i.slot)
	now := lockSlot(at)
	if now.kind() != kindWritten || now.place() != i.old.place() {
		publish(at, now)
		f.Free(i.to)
		return
	}
	publish(at, writtenWord(i.to, now.codec()).at(now.age()))
	step("clean: published")
	f.Free(i.old.place())
}
