package zpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/backing"
)

// A written page is in the backing file: its object there is what it was in memory, a cluster without who lives in it. All
// members of a cluster that were in it when it was written name the same place, and it stays until the last of them goes.

const _ uint = 64 - (lengthShift + backing.PlaceBits) // a place ends the word, or it does not compile

// ErrUnreadable is returned by Load when the disk that the page was written to does not give it back.
var ErrUnreadable = errors.New("the page cannot be read from the backing file")

func writtenWord(p backing.Place, id compressor.ID) word {
	return word(kindWritten)<<kindShift | word(id)<<codecShift | word(p)<<lengthShift
}

func (w word) place() backing.Place { return backing.Place(w >> lengthShift) }

// written is 1 for a page in the backing file, else 0.
func (w word) written() int64 {
	if w.kind() == kindWritten {
		return 1
	}
	return 0
}

// readWritten puts the page of a locked slot, which is in the backing file, into page. It waits for the disk.
func (w *Worker) readWritten(slot uint64, old word, page []byte) error {
	f, u := w.p.writeback.file.Load(), &w.unpacked
	if f == nil {
		return ErrCorrupt
	}
	if old.codec() == idCluster && u.place == old.place() && u.stamp == f.Stamp(u.place) && u.window == windowOf(slot) {
		return u.member(slot, u.members, page)
	}
	w.disk = true
	err := f.Read(old.place(), func(o backing.Object, bytes []byte) error {
		if old.codec() == idCluster {
			return w.unpackWritten(slot, old.place(), f.Stamp(old.place()), o, bytes, page)
		}
		if uint64(o.Slot) != slot || compressor.ID(o.Codec) != old.codec() || checksum(bytes, slot, old.codec()) != o.Check {
			return ErrCorrupt
		}
		return w.decode(old.codec(), bytes, page)
	})
	switch {
	case errors.Is(err, backing.ErrRead):
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	case errors.Is(err, backing.ErrDamaged):
		return ErrCorrupt
	}
	return err
}

// unpackWritten unpacks a cluster from the backing file and puts the page of a slot into page.
func (w *Worker) unpackWritten(slot uint64, p backing.Place, stamp uint64, o backing.Object, object, page []byte) error {
	u, window := &w.unpacked, windowOf(slot)
	u.forget()
	if uint64(o.Slot) != window || compressor.ID(o.Codec) != idCluster || len(object) <= clusterHeader ||
		clusterChecksum(object, window) != o.Check {
		return ErrCorrupt
	}
	members := membersOf(object)
	all := u.pages[:bits.OnesCount16(members)*PageSize]
	if err := w.decoder.Decompress(compressor.ID(object[8]), all, object[clusterHeader:]); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	u.window, u.members, u.place, u.stamp = window, members, p, stamp
	return u.member(slot, members, page)
}

// member puts the page of a slot into page.
func (u *unpacked) member(slot uint64, members uint16, page []byte) error {
	if members&memberBit(slot) == 0 {
		return ErrCorrupt
	}
	copy(page, u.pages[bits.OnesCount16(members&(memberBit(slot)-1))*PageSize:])
	return nil
}

// forget says that pages hold nothing.
func (u *unpacked) forget() { u.packed, u.place = u.packed[:0], 0 }

// forFile makes of a cluster's object what is written: nothing that only memory knows.
func forFile(object []byte) {
	members := membersOf(object)
	clear(object[:8])
	binary.LittleEndian.PutUint16(object[2:], members)
}
