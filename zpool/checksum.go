package zpool

import (
	"hash/crc32"

	"github.com/zswapd/zswapd/compressor"
)

// castagnoli has an instruction of its own on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers an object's bytes and what the slot word says about them, so that an object is not taken for
// another slot's, another codec's or one of another length.
func checksum(object []byte, slot uint64, id compressor.ID) uint32 {
	return crc32.Update(0, castagnoli, object) ^ uint32(mix(slot<<20^uint64(len(object))<<4^uint64(id)))
}

// patternCheck is the checksum in the slot word of a same-filled page: a CRC-16 of the pattern, and the slot. Up to five
// flipped bits of pattern and check are always found, and so is the word of another slot in the same 256 MiB.
func patternCheck(slot uint64, pattern uint32) uint16 {
	crc := uint16(0)
	for shift := 24; shift >= 0; shift -= 8 {
		crc = crc<<8 ^ crc16[uint8(crc>>8)^uint8(pattern>>shift)]
	}
	return crc ^ uint16(slot) ^ uint16(mix(slot>>16))
}

// crc16 is the table of CRC-16/DNP, by the byte that is shifted out.
var crc16 = func() (table [256]uint16) {
	const polynomial = 0x3d65
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			crc = crc<<1 ^ crc>>15*polynomial
		}
		table[i] = crc
	}
	return table
}()

// mix spreads each bit of x over all bits of the result (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
