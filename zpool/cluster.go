package zpool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// A cluster is an object that holds several cold pages of one window of slots, compressed together:
//
//	live:16 | members:16 | check:32 | format:8 | the pages, in the order of their slots, compressed
//
// window: 16 slots from a multiple of 16 on. members: which of them the pages are of, a bit each; it never changes. live:
// those whose words still name the cluster; the last one to leave frees it. The words of the members are the truth, and live
// is a copy of it, so that nobody has to look for them. It is never behind: a bit goes after the word went. Recovery, which
// may find it ahead, makes it anew.
//
// check covers the 7 bytes before it and says whose they are: an object is not taken for a cluster of another window, and
// its bytes not changed, because somebody's word was damaged. The object's tag covers all but live and check.
//
// live and check change together, in one store, under the object's pin.
const (
	windowSlots   = 16
	clusterHeader = 9
	// MaxClusterPages is the largest number of pages in a cluster.
	MaxClusterPages = compressor.MaxPage / PageSize
)

const _ uint = windowSlots - MaxClusterPages

func windowOf(slot uint64) uint64 { return slot &^ (windowSlots - 1) }

// memberBit is the bit of a slot in the masks of a cluster of its window.
func memberBit(slot uint64) uint16 { return 1 << (slot % windowSlots) }

func membersOf(object []byte) uint16 { return binary.LittleEndian.Uint16(object[2:]) }
func liveOf(object []byte) uint16    { return binary.LittleEndian.Uint16(object) }

// setLive makes the header of a cluster.
func setLive(object []byte, h zsmalloc.Handle, window uint64, live, members uint16) {
	head := uint64(live) | uint64(members)<<16
	binary.LittleEndian.PutUint64(object, head|uint64(clusterCheck(h, window, len(object), uint32(head)))<<32)
}

// isCluster reports whether an object is a cluster of a window, as its header says.
func isCluster(object []byte, h zsmalloc.Handle, window uint64) bool {
	return len(object) > clusterHeader &&
		binary.LittleEndian.Uint32(object[4:]) == clusterCheck(h, window, len(object), binary.LittleEndian.Uint32(object))
}

func clusterCheck(h zsmalloc.Handle, window uint64, length int, masks uint32) uint32 {
	return uint32(mix(mix(uint64(h)<<32|uint64(masks)) ^ window<<16 ^ uint64(length)))
}

// clusterChecksum is the tag of a cluster.
func clusterChecksum(object []byte, window uint64) uint32 {
	return checksum(object[8:], window, idCluster) ^ uint32(mix(^uint64(membersOf(object))))
}

// unpacked is a cluster as a worker read it last, so that the neighbours of a page are there when they are asked for next.
type unpacked struct {
	window uint64
	packed []byte // the object; empty: none
	pages  []byte // room for MaxClusterPages

	// For a cluster in the backing file, in the place of packed.
	place   backing.Place // 0: none
	stamp   uint64
	members uint16
}

// newUnpacked takes the memory now, and not when the first page is wanted.
func newUnpacked() unpacked {
	u := unpacked{packed: make([]byte, zsmalloc.MaxSize), pages: make([]byte, MaxClusterPages*PageSize)}
	for i := range u.pages {
		u.pages[i] = 1
	}
	u.packed[0] = 1
	u.packed = u.packed[:0]
	return u
}

// readMember puts the page of a locked slot, a member of a cluster, into page.
func (w *Worker) readMember(slot uint64, old word, page []byte) error {
	again, err := w.fetch(slot, old)
	if err != nil {
		return err
	}
	u := &w.unpacked
	members := membersOf(u.packed)
	if !again {
		w.cold = true
		all := u.pages[:bits.OnesCount16(members)*PageSize]
		if err := w.decoder.Decompress(compressor.ID(u.packed[8]), all, u.packed[clusterHeader:]); err != nil {
			u.forget()
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return u.member(slot, members, page)
}

// fetch copies the cluster that a word names into packed, so that it is not pinned while it is decompressed. again says that
// it is the one that was there.
func (w *Worker) fetch(slot uint64, old word) (again bool, err error) {
	n, u := old.length(), &w.unpacked
	if old.codec() != idCluster || n <= clusterHeader {
		return false, ErrCorrupt
	}
	object, tag, err := w.p.zs.Pin(old.handle())
	if err != nil {
		return false, ErrCorrupt
	}
	defer w.p.zs.Unpin(old.handle())
	step("load: cluster pinned")
	if n > len(object) {
		return false, ErrCorrupt
	}
	object = object[:n]
	if liveOf(object)&memberBit(slot) == 0 {
		return false, ErrCorrupt // the word is another slot's, or from long ago
	}
	if len(u.packed) == n && u.window == windowOf(slot) && membersOf(object) == membersOf(u.packed) && bytes.Equal(object[8:], u.packed[8:]) {
		return true, nil
	}
	if clusterChecksum(object, windowOf(slot)) != tag {
		return false, ErrCorrupt
	}
	u.window, u.packed, u.place = windowOf(slot), append(u.packed[:0], object...), 0
	return false, nil
}

// leave takes a page out of its cluster, after the slot has another word than old; the last page that leaves frees it. It
// reports whether the cluster was what it should be. A damaged one stays until the store is opened again.
func (w *Worker) leave(slot uint64, old word) bool {
	h, bit := old.handle(), memberBit(slot)
	object, _, err := w.p.zs.Pin(h)
	if err != nil {
		return false
	}
	step("leave: cluster pinned")
	if old.length() > len(object) || !isCluster(object[:old.length()], h, windowOf(slot)) || liveOf(object)&bit == 0 {
		w.p.zs.Unpin(h)
		w.p.cutOff.Add(1)
		return false
	}
	live := liveOf(object) &^ bit
	setLive(object[:old.length()], h, windowOf(slot), live, membersOf(object))
	step("leave: no longer live")
	w.p.zs.Unpin(h)
	if live != 0 {
		return true
	}
	step("leave: was the last")
	w.countCluster(int64(old.length()), -1)
	return w.p.zs.Free(h) == nil
}
