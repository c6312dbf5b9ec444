package backing

import (
	"bytes"
	"testing"
)

// FuzzOpen gives any bytes for an object, and what was sealed with some of them changed. Nothing opens but what was sealed.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("page"), uint32(1), uint16(0), uint8(0))
	f.Add(make([]byte, 4096), uint32(7), uint16(8), uint8(1))
	f.Add([]byte{}, uint32(1), uint16(12), uint8(0xff))
	s := sealer{gcm: newCipher(make([]byte, keySize))}
	f.Fuzz(func(t *testing.T, b []byte, slot uint32, at uint16, change uint8) {
		if len(b) > MaxObject {
			return
		}
		if o, n, ok := decodeObject(b); ok {
			again := make([]byte, headerSize)
			if o.encode(again, n); !bytes.Equal(again, b[:headerSize]) {
				t.Fatalf("header %x reads as %+v, %d bytes", b[:headerSize], o, n)
			}
		}
		noise := bytes.Clone(b)
		if _, _, ok := s.open(noise, 1, newPlace(200, unitsFor(max(0, len(b)-headerSize-tagSize)))); ok {
			t.Fatal("noise opens")
		}
		p := newPlace(200, unitsFor(len(b)))
		sealed := make([]byte, p.Bytes())
		s.seal(sealed, 1, p, Object{Slot: slot}, b)
		before := bytes.Clone(sealed)
		sealed[int(at)%len(sealed)] ^= change
		o, got, ok := s.open(sealed, 1, p)
		whole := (change == 0 || int(at)%len(before) >= headerSize+len(b)+tagSize)
		if ok != whole || ok && (o.Slot != slot || !bytes.Equal(got, b)) {
			t.Fatalf("opens: %t, want %t", ok, whole)
		}
	})
}

// FuzzWalk walks an extent of any bytes with some objects among them: those that are whole are shown, and nothing else.
func FuzzWalk(f *testing.F) {
	f.Add([]byte("page"), uint16(3), uint8(10))
	f.Add(make([]byte, 500), uint16(100), uint8(1))
	w := newOwner(f, Options{})
	f.Fuzz(func(t *testing.T, noise []byte, gap uint16, step uint8) {
		b := w.f.turn.walk
		for i := 0; i < len(b) && len(noise) > 0; i += len(noise) {
			copy(b[i:], noise)
		}
		s, want := sealer{gcm: w.f.gcm}, map[Place]bool{}
		for unit := 1; unit+100 < extentUnits; unit += 40 + int(gap) {
			p := newPlace(extentUnits+int64(unit), unitsFor(1000))
			s.seal(b[unit*Unit:][:p.Bytes()], 5, p, Object{Slot: uint32(unit)}, make([]byte, 1000))
			want[p] = true
		}
		if unit := int(step)*Unit + 5; len(noise) > 0 { // damage in one at most
			b[unit] ^= noise[0]
			if noise[0] != 0 {
				for p := range want {
					if at := p.unit() * Unit; unit >= at && unit < at+headerSize+1000+tagSize {
						delete(want, p)
					}
				}
			}
		}
		w.f.state.number(1).Store(5)
		w.f.disk = still{w.f.disk}
		noErr(t, w.f.Walk(1, func(Object, Place) bool { return true }, func(o Object, p Place, bytes []byte) error {
			if !want[p] || len(bytes) != 1000 || int(o.Slot) != p.unit() {
				t.Fatalf("%s is shown", p)
			}
			delete(want, p)
			return nil
		}))
		if len(want) > 0 {
			t.Fatalf("%d objects were not found", len(want))
		}
	})
}

// still is a disk that reads nothing: what is in the buffer stays.
type still struct{ disk }

func (still) readAt([]byte, int64) error { return nil }
