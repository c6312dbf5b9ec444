package replay

import "github.com/zswapd/zswapd/zpool"

// book says what slots hold: a hash of the page, which is not 0, and 0 for nothing. It takes 8 bytes a slot, half a frame for the first
// of 256: no more than the slot table of a pool, whose limit so bounds it, too, whatever a trace says.
type book map[uint64]*[chunk]uint64 // by slot / chunk

const _ uint = zpool.PageSize - chunk*8 // or it is not so

func (b book) at(slot uint64) uint64 {
	if c := b[slot/chunk]; c != nil {
		return c[slot%chunk]
	}
	return 0
}

func (b book) set(slot, hash uint64) {
	c := b[slot/chunk]
	if c == nil {
		c = new([chunk]uint64)
		b[slot/chunk] = c
	}
	c[slot%chunk] = hash
}

// clear empties n slots.
func (b book) clear(first, n uint64) {
	end := first + n
	if n/chunk > uint64(len(b)) {
		for at := range b {
			b.clearChunk(at, first, end)
		}
		return
	}
	for at := first / chunk; at*chunk < end; at++ {
		b.clearChunk(at, first, end)
	}
}

// clearChunk empties those of a chunk's slots that lie from first to end.
func (b book) clearChunk(at, first, end uint64) {
	from, to := max(first, at*chunk), min(end, (at+1)*chunk)
	switch c := b[at]; {
	case c == nil || from >= to:
	case to-from == chunk:
		delete(b, at)
	default:
		clear(c[from-at*chunk : to-at*chunk])
	}
}
