package backing

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
)

// The state's first frame, in words. Those from wordExtents to wordKey's last are covered by wordCheck and never change while
// wordMagic is there.
const (
	wordMagic   = 0 // stateMagic, or 0 if there is no file
	wordCheck   = 1
	wordExtents = 2 // in the file
	wordDevice  = 3 // of the file, or for a block device its own number
	wordInode   = 4
	wordKey     = 5 // 4 words
	wordNumber  = 9 // that an extent was last written under
	wordWritten = 10
	wordDay     = 11 // 24 words, see day
	stateWords  = wordDay + dayHours

	stateMagic = 0x7a73776264000001
	maxExtents = MaxBytes / ExtentBytes
)

// state is what outlives the process: a frame of words, and from the next chunk on a word for each extent, the number that it
// was last written under. The words of the second part are committed for all extents of the file.
type state struct {
	a    *arena.Arena
	base int64
}

// Layout returns the size of the state's region in bytes, a multiple of arena.ChunkSize. It takes memory only as there is
// a file: a frame, and one for each 512 MiB.
func Layout() int64 { return arena.ChunkSize + maxExtents*8 }

func (s state) word(i int) *atomic.Uint64 { return s.a.Word(s.base + int64(i)*8) }
func (s state) number(extent int) *atomic.Uint64 {
	return s.a.Word(s.base + arena.ChunkSize + int64(extent)*8)
}

func tableBytes(extents int) int64 {
	return (int64(extents)*8 + arena.FrameSize - 1) / arena.FrameSize * arena.FrameSize
}

// there reports whether the first frame is committed.
func (s state) there() (bool, error) {
	n := int64(0)
	err := s.a.Resident(s.base, arena.FrameSize, func(_, m int64) { n += m })
	return n > 0, err
}

// begin makes the state of a new file, with a new key. Of an earlier file's, what was written today stays, and numbers go on.
func (s state) begin(extents int, id identity) error {
	there, err := s.there()
	if err != nil {
		return err
	}
	if !there {
		if err := s.a.Commit(s.base, arena.FrameSize); err != nil {
			return err
		}
	}
	if err := s.discardTable(); err != nil { // end may have failed
		return err
	}
	if err := s.a.Commit(s.base+arena.ChunkSize, tableBytes(extents)); err != nil {
		return err
	}
	step("backing: table made")
	var key [keySize]byte
	_, _ = rand.Read(key[:]) // never fails
	for i := range keySize / 8 {
		s.word(wordKey + i).Store(binary.LittleEndian.Uint64(key[i*8:]))
	}
	s.word(wordExtents).Store(uint64(extents))
	s.word(wordDevice).Store(id.device)
	s.word(wordInode).Store(id.inode)
	s.word(wordCheck).Store(s.check())
	s.word(wordMagic).Store(stateMagic)
	step("backing: state made")
	return nil
}

// end forgets the file and its key. What an error leaves of the table, the next begin discards.
func (s state) end() error {
	s.word(wordMagic).Store(0)
	step("backing: state gone")
	for i := range keySize / 8 {
		s.word(wordKey + i).Store(0)
	}
	return s.discardTable()
}

// discardTable releases the table, whatever size it has: the file may have been cut since.
func (s state) discardTable() error { return s.a.Discard(s.base+arena.ChunkSize, maxExtents*8) }

func (s state) check() uint64 {
	var b [(wordKey + keySize/8 - wordExtents) * 8]byte
	for i := range len(b) / 8 {
		binary.LittleEndian.PutUint64(b[i*8:], s.word(wordExtents+i).Load())
	}
	return uint64(crc32.Checksum(b[:], crc32.MakeTable(crc32.Castagnoli))) | 1<<32
}

func (s state) key() (key [keySize]byte) {
	for i := range keySize / 8 {
		binary.LittleEndian.PutUint64(key[i*8:], s.word(wordKey+i).Load())
	}
	return key
}

// adopt looks at what a killed process left: a state with a file, or none, after which no more than the first frame is
// committed. Damage is ErrState.
func (s state) adopt() (extents int, id identity, err error) {
	there, err := s.there()
	if err != nil {
		return 0, id, err
	}
	if there && s.word(wordMagic).Load() == stateMagic {
		extents, id = int(s.word(wordExtents).Load()), identity{s.word(wordDevice).Load(), s.word(wordInode).Load()}
		if s.word(wordCheck).Load() == s.check() && extents >= 1 && extents <= maxExtents {
			if err := s.adoptTable(extents); err != nil {
				return 0, id, err
			}
			return extents, id, nil
		}
		err = ErrState
	} else if there && s.word(wordMagic).Load() != 0 {
		err = ErrState
	}
	return 0, id, s.discard(err)
}

// adoptTable commits the frames of the table that damage has taken away, and releases those that have come.
func (s state) adoptTable(extents int) error {
	base, n := s.base+arena.ChunkSize, tableBytes(extents)
	if err := s.a.Discard(base+n, maxExtents*8-n); err != nil {
		return err
	}
	if err := s.a.Discard(s.base+arena.FrameSize, arena.ChunkSize-arena.FrameSize); err != nil {
		return err
	}
	next := base
	var err error
	commit := func(off, n int64) {
		if err == nil && n > 0 {
			err = s.a.Commit(off, n)
		}
	}
	var holes []([2]int64)
	if e := s.a.Resident(base, n, func(off, m int64) {
		holes = append(holes, [2]int64{next, off - next})
		next = off + m
	}); e != nil {
		return e
	}
	for _, hole := range append(holes, [2]int64{next, base + n - next}) {
		commit(hole[0], hole[1])
	}
	// The counter may be damaged, the table too; no number that the table knows is used again.
	for extent := range extents {
		s.atLeast(s.number(extent).Load())
	}
	return err
}

func (s state) atLeast(number uint64) {
	if w := s.word(wordNumber); number > w.Load() && number < 1<<62 {
		w.Store(number)
	}
}

// discard releases what a state that is none has committed; of damage nothing is kept.
func (s state) discard(damage error) error {
	keep := int64(arena.FrameSize)
	if damage != nil {
		keep = 0
	}
	if err := s.a.Discard(s.base+keep, Layout()-keep); err != nil {
		return err
	}
	return damage
}

// next takes a number for an extent that is about to be written.
func (s state) next(extent int) (number uint64) {
	number = s.word(wordNumber).Add(1)
	step("backing: number taken")
	s.number(extent).Store(number)
	return number
}
