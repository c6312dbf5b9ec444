package zpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// superblock is the first frame of a store: what it is, and the numbers that its layout follows from. They never
// change while the store lives.
type superblock struct {
	slots     uint64 // pages that can be stored
	maxFrames int64  // frames that objects can ever take
	chain     uint32 // zsmalloc's chain length
}

const (
	magic          = "zswapd\x00\x01"
	storeVersion   = 2
	superblockSize = 48
	// clockAt is where the generation is, in the same frame. Nothing checks it, and ages are off if it is damaged.
	clockAt = 64
)

// MaxSlots bounds the slots of one pool: each may need a handle, and one more while it is overwritten.
const MaxSlots = 1<<32 - 4096

// Little-endian: magic 8, version 4, page size 4, slots 8, frames 8, chain 4, zeros 8, then CRC-32C of all that.
func (s superblock) encode(b []byte) {
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], storeVersion)
	binary.LittleEndian.PutUint32(b[12:], PageSize)
	binary.LittleEndian.PutUint64(b[16:], s.slots)
	binary.LittleEndian.PutUint64(b[24:], uint64(s.maxFrames))
	binary.LittleEndian.PutUint32(b[32:], s.chain)
	binary.LittleEndian.PutUint64(b[36:], 0)
	binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
}

func decodeSuperblock(b []byte) (s superblock, err error) {
	switch version := binary.LittleEndian.Uint32(b[8:]); {
	case string(b[:8]) != magic:
		return s, errors.New("no superblock: this is not a store")
	case crc32.Checksum(b[:44], castagnoli) != binary.LittleEndian.Uint32(b[44:]):
		return s, errors.New("the superblock is damaged")
	case version != storeVersion:
		return s, fmt.Errorf("store version %d: this program reads version %d", version, storeVersion)
	case binary.LittleEndian.Uint32(b[12:]) != PageSize:
		return s, fmt.Errorf("pages of %d bytes: this program has %d", binary.LittleEndian.Uint32(b[12:]), PageSize)
	}
	s.slots = binary.LittleEndian.Uint64(b[16:])
	s.maxFrames = int64(binary.LittleEndian.Uint64(b[24:]))
	s.chain = binary.LittleEndian.Uint32(b[32:])
	return s, s.validate()
}

func (s superblock) validate() (err error) {
	if s.slots < 1 || s.slots > MaxSlots {
		err = fmt.Errorf("slots = %d: want 1..%d", s.slots, uint64(MaxSlots))
	} else {
		err = s.zsmalloc().Validate()
	}
	return err
}

// zsmalloc returns the options of the allocator. A slot has one object, and every worker may hold one more.
func (s superblock) zsmalloc() zsmalloc.Options {
	return zsmalloc.Options{Handles: int64(s.slots) + 1024, MaxFrames: s.maxFrames, ChainSize: int(s.chain)}
}

// tableBase, zsBase and backingBase are where the slot table, zsmalloc's region and the backing file's state begin; size is
// the whole.
func (s superblock) tableBase() int64 { return arena.ChunkSize }
func (s superblock) zsBase() int64 {
	return s.tableBase() + (int64(s.slots)*8+arena.ChunkSize-1)/arena.ChunkSize*arena.ChunkSize
}
func (s superblock) backingBase() int64 { return s.zsBase() + s.zsmalloc().Layout() }
func (s superblock) size() int64        { return s.backingBase() + backing.Layout() }
