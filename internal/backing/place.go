package backing

import "fmt"

const (
	// Unit is what places count in, in bytes.
	Unit = 32
	// ExtentBytes is the size of an extent.
	ExtentBytes = 1 << 20
	// MaxObject is the longest object, in bytes.
	MaxObject = 64 << 10
	// MaxBytes is how much places can tell apart: 1 TiB.
	MaxBytes = 1 << positionBits * Unit

	positionBits = 35
	unitsBits    = 13
	extentUnits  = ExtentBytes / Unit
	markBytes    = 4096 // before the first object, see mark
)

// Place is where an object lies: units:13 | position:35, both in units of 32 bytes, in the low bits. The zero Place is
// nowhere.
type Place uint64

// PlaceBits is how many bits a Place takes.
const PlaceBits = unitsBits + positionBits

func newPlace(position int64, units int) Place { return Place(units) | Place(position)<<unitsBits }

func (p Place) position() int64 { return int64(p >> unitsBits & (1<<positionBits - 1)) }

// Units is the length of the place in units.
func (p Place) Units() int { return int(p & (1<<unitsBits - 1)) }

// Bytes is the length of the place in bytes.
func (p Place) Bytes() int64 { return int64(p.Units()) * Unit }

// Extent is the number of the extent that the place is in.
func (p Place) Extent() int { return p.extent() }

// extent is the extent that the place begins in, unit where in it.
func (p Place) extent() int { return int(p.position() / extentUnits) }
func (p Place) unit() int   { return int(p.position() % extentUnits) }

// sound reports whether an object can be there in a file of so many extents.
func (p Place) sound(extents int) bool {
	return p.Units() >= unitsFor(0) && p.Units() <= unitsFor(MaxObject) && p.position()*Unit >= markBytes &&
		p.extent() < extents && p.unit()+p.Units() <= extentUnits
}

func (p Place) String() string { return fmt.Sprintf("%d bytes at %#x", p.Bytes(), p.position()*Unit) }

// unitsFor returns how many units an object of n bytes takes.
func unitsFor(n int) int { return (headerSize + n + tagSize + Unit - 1) / Unit }

// BytesFor returns how many bytes of the file an object of n bytes takes.
func BytesFor(n int) int64 { return int64(unitsFor(n)) * Unit }
