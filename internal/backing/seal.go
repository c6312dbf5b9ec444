package backing

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

const (
	keySize   = 32
	nonceSize = 12
)

// newCipher returns AES-256-GCM for a key.
func newCipher(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err == nil {
		var gcm cipher.AEAD
		if gcm, err = cipher.NewGCM(block); err == nil {
			return gcm
		}
	}
	panic(err) // the key has the wrong length
}

// sealer is what one goroutine needs to seal and open objects without allocating.
type sealer struct {
	gcm   cipher.AEAD
	nonce [nonceSize]byte
	also  [headerSize + 8]byte // authenticated, too: the header and where the object lies
}

func (s *sealer) prepare(number uint64, p Place, header []byte) {
	binary.LittleEndian.PutUint64(s.nonce[:], number)
	binary.LittleEndian.PutUint32(s.nonce[8:], uint32(p.unit()))
	copy(s.also[:], header)
	binary.LittleEndian.PutUint64(s.also[headerSize:], uint64(p))
}

// seal writes an object to b, which is as long as its place, under the number of its extent.
func (s *sealer) seal(b []byte, number uint64, p Place, o Object, bytes []byte) {
	o.encode(b, len(bytes))
	s.prepare(number, p, b[:headerSize])
	end := len(s.gcm.Seal(b[headerSize:headerSize], s.nonce[:], bytes, s.also[:]))
	clear(b[headerSize+end:])
}

// open reads the object at a place from b, which is as long as the place, and decrypts it there. It reports false if that is not what was
// sealed under this number at this place; then b means nothing.
func (s *sealer) open(b []byte, number uint64, p Place) (o Object, bytes []byte, ok bool) {
	o, n, ok := decodeObject(b)
	if !ok || unitsFor(n) != p.Units() {
		return o, nil, false
	}
	s.prepare(number, p, b[:headerSize])
	sealed := b[headerSize : headerSize+n+tagSize]
	bytes, err := s.gcm.Open(sealed[:0], s.nonce[:], sealed, s.also[:])
	return o, bytes, err == nil
}
