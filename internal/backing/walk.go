package backing

import "fmt"

// Emptiest returns the extent in which the least is wanted, if that is less than so many percent of it, and holds it until
// Done. once, if it is not nil, has the units that are wanted in each extent: the file's own count has an object for each who wants it.
func (f *File) Emptiest(percent int, once []int32) (extent int, ok bool) {
	f.turn.Lock()
	defer f.turn.Unlock()
	extent, least := none, int32(extentUnits*percent/100)
	for i := range f.extents {
		e := &f.extents[i]
		live := e.live.Load()
		n := live
		if once != nil {
			n = min(n, once[i])
		}
		if live > 0 && n < least && !e.bad && (e.floor == 0 || live <= e.floor/2) && i != f.turn.open.extent {
			extent, least = i, n
		}
	}
	f.turn.held = extent
	return extent, extent != none
}

// Outcome is what became of an extent that was to be emptied.
type Outcome int

const (
	Again    Outcome = iota // it may be tried again
	NotWorth                // what is wanted in it takes too much, or cannot be read: not tried again before half of it is gone
	Emptied                 // all was moved away; if something is wanted in it all the same, that could not be read
)

// Done ends what Emptiest began.
func (f *File) Done(extent int, o Outcome) {
	f.turn.Lock()
	defer f.turn.Unlock()
	e := &f.extents[extent]
	f.turn.held = none
	switch live := e.live.Load(); o {
	case NotWorth:
		e.floor = live
	case Emptied:
		e.bad = live > 0
		f.counts.cleaned.Add(1)
	}
}

// Walk shows all objects in the extent of Emptiest that are mine to visit, in order. The bytes are gone when visit returns; an
// error of it ends the walk. Headers that mine sees may be noise: only what visit sees was sealed at this place. Objects
// that cannot be opened are left out. If the disk refuses, it is ErrRead.
func (f *File) Walk(extent int, mine func(o Object, p Place) bool, visit func(o Object, p Place, bytes []byte) error) error {
	b, off := f.turn.walk, int64(extent)*ExtentBytes
	if err := f.disk.readAt(b, off); err != nil {
		f.counts.readErrors.Add(1)
		return fmt.Errorf("%w: extent %d: %w", ErrRead, extent, err)
	}
	s, number, first := sealer{gcm: f.gcm}, f.state.number(extent).Load(), 0
	if extent == 0 {
		first = markBytes / Unit
	}
	for unit := first; unit < extentUnits; {
		at := b[unit*Unit:]
		o, n, ok := decodeObject(at)
		p := newPlace(int64(extent)*extentUnits+int64(unit), unitsFor(n))
		if !ok || p.Bytes() > int64(len(at)) || !mine(o, p) {
			unit++
			continue
		}
		o, bytes, ok := s.open(at[:p.Bytes()], number, p)
		if !ok {
			f.counts.damaged.Add(1)
			unit++
			continue
		}
		if err := visit(o, p, bytes); err != nil {
			return err
		}
		unit += p.Units()
	}
	return nil
}
