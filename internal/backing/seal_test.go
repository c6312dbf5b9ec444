package backing

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// What the file holds says nothing of what was written.
func TestNothingToReadInTheFile(t *testing.T) {
	w := newOwner(t, Options{})
	secret := []byte("a page of somebody's, in plain words")
	b, err := w.f.Begin(ExtentBytes, false)
	noErr(t, err)
	for i := range 200 {
		x := &thing{Object{Slot: uint32(i)}, bytes.Repeat(secret, 1+i%100), 1}
		p, ok := b.Add(x.o, x.bytes, 1)
		if !ok {
			t.Fatal("no room")
		}
		w.has[p] = x
	}
	noErr(t, b.Flush())
	w.readAll()
	file, err := os.ReadFile(w.path)
	noErr(t, err)
	key := w.f.state.key()
	for _, what := range [][]byte{secret, secret[:8], key[:8], key[24:]} {
		if bytes.Contains(file, what) {
			t.Errorf("%q is in the file", what)
		}
	}
	if !bytes.HasPrefix(file, []byte(mark)) {
		t.Error("the file does not say what it is")
	}
}

// Objects of other slots, places, keys and times do not open.
func TestSealedForOnePlace(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{})
	_, err := w.write(r, 2*ExtentBytes)
	noErr(t, err)
	key, s := w.f.state.key(), sealer{}
	s.gcm = newCipher(key[:])
	for p := range w.has {
		whole := make([]byte, p.Bytes())
		from := make([]byte, ExtentBytes)
		b := aligned(ExtentBytes)
		noErr(t, w.f.disk.readAt(b, int64(p.extent())*ExtentBytes))
		copy(from, b)
		number := w.f.state.number(p.extent()).Load()
		try := func(what string, number uint64, p Place, change func(b []byte), want bool) {
			t.Helper()
			copy(whole, from[p.unit()*Unit:])
			change(whole)
			if _, _, ok := s.open(whole, number, p); ok != want {
				t.Errorf("%s opens: %t", what, ok)
			}
		}
		same := func([]byte) {}
		try("the object", number, p, same, true)
		try("under another number", number+1, p, same, false)
		try("as another length", number, p, func(b []byte) { b[8] ^= 1 }, false)
		try("as another slot's", number, p, func(b []byte) { b[0] ^= 1 }, false)
		try("as another codec's", number, p, func(b []byte) { b[14] ^= 1 }, false)
		moved := newPlace(p.position()-extentUnits, p.Units())
		copy(whole, from[p.unit()*Unit:])
		if _, _, ok := s.open(whole, number, moved); ok {
			t.Error("at another place opens")
		}
	}
}

// Each bit of a file matters to the object that it is in, and to no other.
func TestDamagedBits(t *testing.T) {
	r := newRand(t)
	w := newOwner(t, Options{})
	_, err := w.write(r, 3*ExtentBytes)
	noErr(t, err)
	file, err := os.OpenFile(w.path, os.O_RDWR, 0)
	noErr(t, err)
	defer file.Close()
	damaged := 0
	for p, x := range w.has {
		at := p.position()*Unit + r.Int64N(p.Bytes())
		var b [1]byte
		_, err := file.ReadAt(b[:], at)
		noErr(t, err)
		b[0] ^= 1 << r.IntN(8)
		_, err = file.WriteAt(b[:], at)
		noErr(t, err)
		noErr(t, file.Sync())
		err = w.read(p, x)
		padding := at-p.position()*Unit >= int64(headerSize+len(x.bytes)+tagSize)
		if errors.Is(err, errWrong) || padding != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s, a bit of its byte %d of %d: %v", p, at-p.position()*Unit, len(x.bytes), err)
		}
		b[0] = 0
		if damaged++; damaged == 300 {
			break
		}
		for range 3 { // the neighbours
			for q, y := range w.has {
				if err := w.read(q, y); err != nil && !errors.Is(err, ErrDamaged) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if uint64(damaged) > w.f.Stats().Damaged*2 {
		t.Errorf("%d damaged, %d counted", damaged, w.f.Stats().Damaged)
	}
}
