package backing

import "encoding/binary"

// Object is what an owner says of an object. The package keeps it with the bytes, and it cannot be changed without
// being noticed; it is not encrypted.
type Object struct {
	Slot  uint32 // whose it is
	Check uint32 // the owner's checksum
	Codec uint8
}

const (
	headerSize = 16
	tagSize    = 16
	headerMark = 0x5ea1
)

// Little-endian: slot 4, check 4, length 4, mark 2, codec 1, zero 1.
func (o Object) encode(b []byte, length int) {
	binary.LittleEndian.PutUint32(b, o.Slot)
	binary.LittleEndian.PutUint32(b[4:], o.Check)
	binary.LittleEndian.PutUint32(b[8:], uint32(length))
	binary.LittleEndian.PutUint16(b[12:], headerMark)
	b[14], b[15] = o.Codec, 0
}

// decodeObject reads a header, which may be any bytes, of an object that must lie within b. Only opening the object tells
// whether what it says is true.
func decodeObject(b []byte) (o Object, length int, ok bool) {
	if len(b) < headerSize+tagSize || binary.LittleEndian.Uint16(b[12:]) != headerMark || b[15] != 0 {
		return o, 0, false
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if n > MaxObject || headerSize+int(n)+tagSize > len(b) {
		return o, 0, false
	}
	return Object{Slot: binary.LittleEndian.Uint32(b), Check: binary.LittleEndian.Uint32(b[4:]), Codec: b[14]}, int(n), true
}
