package zpool

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/zsmalloc"
)

// A slot word says where the page of a slot is. 0 is an empty slot. From bit 0:
//
//	lock:1 | kind:3 | codec:4 | age:8 | length:13 | 0:3  | handle:32     an object
//	lock:1 | kind:3 |   0:4   | age:8 | check:16         | pattern:32    a same-filled page
//
// The age is reserved for a generation clock, and 0.
type word uint64

type kind uint8

const (
	kindEmpty      kind = 0
	kindSameFilled kind = 1
	kindObject     kind = 2
	kindLost       kind = 7 // recovery found damage where the page had been
)

const (
	lockBit     = 1
	kindShift   = 1
	codecShift  = 4
	ageShift    = 8
	lengthShift = 16
	valueShift  = 32
	lengthMask  = 1<<13 - 1
)

// idPattern is the codec number of an object that holds the 8 bytes which fill the page.
const idPattern compressor.ID = 15

func objectWord(h zsmalloc.Handle, id compressor.ID, length int) word {
	return word(kindObject)<<kindShift | word(id)<<codecShift | word(length)<<lengthShift | word(h)<<valueShift
}

func sameFilledWord(slot uint64, pattern uint32) word {
	return word(kindSameFilled)<<kindShift | word(patternCheck(slot, pattern))<<lengthShift | word(pattern)<<valueShift
}

const lostWord = word(kindLost) << kindShift

func (w word) kind() kind              { return kind(w >> kindShift & 7) }
func (w word) codec() compressor.ID    { return compressor.ID(w >> codecShift & 15) }
func (w word) length() int             { return int(w >> lengthShift & lengthMask) }
func (w word) handle() zsmalloc.Handle { return zsmalloc.Handle(w >> valueShift) }
func (w word) pattern() uint32         { return uint32(w >> valueShift) }

// incompressible and sameFilled are 1 for a page of that sort, else 0.
func (w word) incompressible() int64 {
	if w.kind() == kindObject && w.codec() == compressor.Raw {
		return 1
	}
	return 0
}

func (w word) sameFilled() int64 {
	if w.kind() == kindSameFilled || w.kind() == kindObject && w.codec() == idPattern {
		return 1
	}
	return 0
}

// memory returns the bytes that the page takes as an object's payload.
func (w word) memory() int64 {
	if w.kind() != kindObject {
		return 0
	}
	return int64(w.length())
}

// lockSlot waits until nobody else has the slot, takes it, and returns its word, without the lock bit.
func lockSlot(w *atomic.Uint64) word {
	for turn := 0; ; turn++ {
		old := w.Load()
		if old&lockBit == 0 && w.CompareAndSwap(old, old|lockBit) {
			return word(old)
		}
		if turn < 64 {
			runtime.Gosched()
		} else { // its owner's thread seems to have lost its CPU
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// publish sets a locked slot's word and unlocks it, in one store: the commit point of every change.
func publish(w *atomic.Uint64, new word) { w.Store(uint64(new)) }
