package arena

import (
	"errors"
	"fmt"
	"os"
)

const (
	// FrameSize is the unit in which memory is committed and released, in bytes.
	FrameSize = 4096
	// ChunkSize bounds one Bytes call: a range that is asked for may not cross a multiple of it.
	ChunkSize = 1 << 20
)

// ErrLimit is returned by Commit when the budget is used up.
var ErrLimit = errors.New("memory limit reached")

// Arena is a sparse range of memory, addressed by offset.
//
// Commit, Release, Bytes, Word and At may be called concurrently for different ranges; who owns a range, and
// when, is the caller's to order.
type Arena struct {
	budget *Budget
	size   int64   // bytes, a multiple of ChunkSize
	base   address // of the mapping; nil for an arena on the heap
	heap   *heap   // its chunks; nil for a mapped arena
	memory         // how memory is had: mapped or heap

	counted bool // the budget knows what is resident
}

// memory is what the two kinds of arena differ in. Ranges are whole frames, within the arena.
type memory interface {
	commit(off, n int64) error
	release(off, n int64) error
	resident(off, n int64, visit func(off, n int64)) error
	mapTables() error
	file() *os.File
	close() error
}

// New makes an arena of size bytes, rounded up to whole chunks, all of it a hole. name is for /proc only.
func New(name string, size int64, budget *Budget) (*Arena, error) {
	if raceEnabled {
		return newHeap(size, budget), nil
	}
	return newMapped(name, size, budget)
}

// Open maps an arena that another process, or an earlier arena of this one, made: f is its File.
// What is resident in it counts as taken from the budget, whatever its limit. The arena owns f afterwards.
func Open(f *os.File, budget *Budget) (*Arena, error) {
	a, err := Map(f, budget)
	if err != nil {
		return nil, err
	}
	if _, err := a.Count(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// Map is Open without the Count, for an arena that another process is still using.
func Map(f *os.File, budget *Budget) (*Arena, error) { return openMapped(f, budget) }

// Count takes from the budget, whatever its limit, what is resident, and returns it. From then on nobody else may use the
// arena.
func (a *Arena) Count() ([]Extent, error) {
	list, err := a.Extents()
	if err != nil {
		return nil, err
	}
	there := int64(0)
	for _, e := range list {
		there += e.End - e.Off
	}
	a.budget.adopt(there)
	a.counted = true
	return list, nil
}

// Extent is a part of an arena, in whole frames.
type Extent struct{ Off, End int64 }

// Extents returns the committed parts by rising offset. To find them takes the system 0.1 µs for each frame: ask once.
func (a *Arena) Extents() (list []Extent, err error) {
	err = a.Resident(0, a.size, func(off, n int64) {
		if last := len(list) - 1; last >= 0 && list[last].End == off {
			list[last].End += n
			return
		}
		list = append(list, Extent{off, off + n})
	})
	return list, err
}

// MapTables makes the page tables of this process for all that is resident, so that to touch it takes no memory later. It
// may be called while other processes use the arena; then a frame that is released just now may be committed again, and
// is counted by nobody until the next Count.
func (a *Arena) MapTables() error { return a.mapTables() }

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

func (a *Arena) checkFrames(what string, off, n int64) {
	if off < 0 || n < 0 || off%FrameSize != 0 || n%FrameSize != 0 || off+n > a.size {
		panic(fmt.Sprintf("arena: %s of [%#x, +%#x) in an arena of %#x bytes", what, off, n, a.size))
	}
}

// Commit makes n bytes at off usable; both are multiples of FrameSize, and none of it is committed yet.
// It returns ErrLimit when the budget refuses and the system's error when memory cannot be had; then nothing
// of the range is committed.
func (a *Arena) Commit(off, n int64) error {
	a.checkFrames("commit", off, n)
	if !a.budget.Take(n) {
		return ErrLimit
	}
	if err := a.commit(off, n); err != nil {
		_ = a.release(off, n) // what of it was committed before the error
		a.budget.Give(n)
		return fmt.Errorf("commit %d bytes: %w", n, err)
	}
	return nil
}

// Release gives committed bytes back to the system; they read as zeros once committed again.
// On an error they stay committed.
func (a *Arena) Release(off, n int64) error {
	a.checkFrames("release", off, n)
	if err := a.release(off, n); err != nil {
		return fmt.Errorf("release %d bytes: %w", n, err)
	}
	a.budget.Give(n)
	return nil
}

// Discard releases whatever happens to be committed in a range, as recovery needs.
// It must not race with anything else in the range.
func (a *Arena) Discard(off, n int64) error {
	var there int64
	err := a.Resident(off, n, func(_, n int64) { there += n })
	if err != nil || there == 0 {
		return err
	}
	if err := a.release(off, n); err != nil {
		return fmt.Errorf("discard %d bytes: %w", n, err)
	}
	a.budget.Give(there)
	return nil
}

// Resident calls visit for each committed part of [off, off+n), in order, in whole frames.
func (a *Arena) Resident(off, n int64, visit func(off, n int64)) error {
	a.checkFrames("resident", off, n)
	return a.resident(off, n, visit)
}

// Size returns the length of the arena in bytes.
func (a *Arena) Size() int64 { return a.size }

// Budget returns the budget that Commit takes from.
func (a *Arena) Budget() *Budget { return a.budget }

// File returns the memory file to hand to another process, or nil for an arena on the Go heap.
func (a *Arena) File() *os.File { return a.file() }

// Close unmaps the arena and closes its file. Slices and pointers into it must not be used any more.
// The memory lives on while another process holds the file.
func (a *Arena) Close() error {
	var there int64
	var err error
	if a.counted {
		err = a.Resident(0, a.size, func(_, n int64) { there += n })
		a.budget.Give(min(there, a.budget.Used())) // a standby may have faulted in what was released: that is counted by nobody
	}
	a.base = nil
	return errors.Join(err, a.close())
}
