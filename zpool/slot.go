package zpool

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/zsmalloc"
)

// A slot word says where the page of a slot is. 0 is an empty slot. From bit 0:
//
//	lock:1 | kind:3 |   0:4   | age:8 | check:16               | pattern:32   a same-filled page
//	lock:1 | kind:3 | codec:4 | age:8 | length:13 | hints:3    | handle:32    an object
//	lock:1 | kind:3 |   14:4  | age:8 | length:13 | log2:3     | handle:32    a member of a cluster: an object of several pages
//	lock:1 | kind:3 | codec:4 | age:8 | length:13 | position:35               written: in the backing file, in units of 32 bytes
//	lock:1 | kind:3 |   0:60                                                  lost
//
// The age is the generation in which the page was last stored or loaded, see clock. Age, hints and log2 are only that: nothing
// checks them, and nothing breaks if they are wrong.
//
// hints: settled, the dense codec gains nothing on this page; dense, it was made by that codec, alone. log2: of the pages that
// the cluster was made of, rounded down.
// codec 14 says that the bytes are those of a cluster, in the words of its members and in those of written ones; which page of
// them is the slot's follows from the cluster's own header.
type word uint64

type kind uint8

const (
	kindEmpty      kind = 0
	kindSameFilled kind = 1
	kindObject     kind = 2
	kindMember     kind = 3
	kindWritten    kind = 4
	kindLost       kind = 7 // recovery found damage where the page had been
)

const (
	lockBit       = 1
	kindShift     = 1
	codecShift    = 4
	ageShift      = 8
	lengthShift   = 16
	settledBit    = 1 << 29
	denseBit      = 1 << 30
	log2Shift     = 29
	positionShift = 29
	valueShift    = 32
	lengthMask    = 1<<13 - 1
	ageMask       = 0xff << ageShift
)

const _ uint = 64 - (positionShift + 35) // the position ends the word, or it does not compile

// Codec numbers that are the pool's own; see compressor.ID for the others.
const (
	idCluster compressor.ID = 14 // several pages, see cluster
	idPattern compressor.ID = 15 // the 8 bytes which fill the page
)

const _ = uint(idCluster - 1 - compressor.Zstd) // the last format is below them, or it does not compile

func objectWord(h zsmalloc.Handle, id compressor.ID, length int) word {
	return word(kindObject)<<kindShift | word(id)<<codecShift | word(length)<<lengthShift | word(h)<<valueShift
}

// memberWord is that of each of n pages in a cluster whose object has length bytes.
func memberWord(h zsmalloc.Handle, length, n int) word {
	log2 := word(bits.Len(uint(n)) - 1)
	return word(kindMember)<<kindShift | word(idCluster)<<codecShift | word(length)<<lengthShift | log2<<log2Shift | word(h)<<valueShift
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
func (w word) age() uint8              { return uint8(w >> ageShift) }

func (w word) log2() int { return int(w >> log2Shift & 7) }

// cold reports whether a page was packed again, as those are that nobody uses.
func (w word) cold() bool {
	return w.kind() == kindMember || w.kind() == kindObject && w&denseBit != 0
}

// at is the word with its page last touched in generation g. Empty and lost slots have no age.
func (w word) at(g uint8) word {
	if w == 0 || w.kind() == kindLost {
		return w
	}
	return w&^ageMask | word(g)<<ageShift
}

// ageless is the word without what says when its page was touched.
func (w word) ageless() word { return w &^ ageMask }

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

// coldPages is 1 for a cold page, else 0.
func (w word) coldPages() int64 {
	if w.cold() {
		return 1
	}
	return 0
}

// memory returns the bytes that the page takes as an object's payload. Those of a cluster are counted apart, as a whole.
func (w word) memory() int64 {
	if w.kind() != kindObject {
		return 0
	}
	return int64(w.length())
}

// coldMemory is memory for cold pages, and 0 for others.
func (w word) coldMemory() int64 { return w.coldPages() * w.memory() }

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

// tryLockSlot takes a slot if its word is still old, which nobody has.
func tryLockSlot(w *atomic.Uint64, old word) bool {
	return old&lockBit == 0 && w.CompareAndSwap(uint64(old), uint64(old|lockBit))
}

// publish sets a locked slot's word and unlocks it, in one store: the commit point of every change.
func publish(w *atomic.Uint64, new word) { w.Store(uint64(new)) }
