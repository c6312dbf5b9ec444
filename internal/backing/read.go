package backing

import (
	"crypto/cipher"
	"fmt"
)

// reader is what one read needs.
type reader struct {
	buffer []byte
	sealer
}

func newReader(gcm cipher.AEAD) *reader {
	return &reader{aligned(BytesToRead), sealer{gcm: gcm}}
}

// BytesToRead is the most that one Read reads.
const BytesToRead = (headerSize+MaxObject+tagSize+maxBlock-1)/maxBlock*maxBlock + 2*maxBlock

// Read reads the object at a place with one read, and has use see it; the bytes are gone when use returns. It returns what
// use does, or ErrDamaged or ErrRead. It waits for the disk, and if many others read, for them. It allocates nothing.
func (f *File) Read(p Place, use func(o Object, bytes []byte) error) error {
	if !p.sound(len(f.extents)) {
		return ErrDamaged
	}
	r := <-f.readers
	defer func() { f.readers <- r }()
	o, bytes, err := f.read(r, p)
	if err != nil {
		return err
	}
	return use(o, bytes)
}

func (f *File) read(r *reader, p Place) (o Object, bytes []byte, err error) {
	block := int64(f.block)
	from := p.position() * Unit
	first := from / block * block
	last := (from + p.Bytes() + block - 1) / block * block
	f.counts.reads.Add(1)
	if err := f.disk.readAt(r.buffer[:last-first], first); err != nil {
		f.counts.readErrors.Add(1)
		return o, nil, fmt.Errorf("%w: %s: %w", ErrRead, p, err)
	}
	o, bytes, ok := r.open(r.buffer[from-first:][:p.Bytes()], f.state.number(p.extent()).Load(), p)
	if !ok {
		f.counts.damaged.Add(1)
		return o, nil, ErrDamaged
	}
	return o, bytes, nil
}

// Stamp changes when something else may be at a place: with the same stamp, it is the same object.
func (f *File) Stamp(p Place) uint64 {
	if !p.sound(len(f.extents)) {
		return 0
	}
	return f.state.number(p.extent()).Load()
}
