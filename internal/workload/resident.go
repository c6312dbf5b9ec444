package workload

import (
	"errors"
	"fmt"
)

// ErrRefused is a page that the pool did not take. No page is wrong, but there is no frame for another one.
var ErrRefused = errors.New("the pool took no more pages")

// Pool is what a run needs of a pool of pages. Slots are the numbers of pages. It is called concurrently, though
// never for one slot.
type Pool interface {
	Load(slot uint64, dst []byte) error
	Store(slot uint64, src []byte) error
}

// resident keeps some pages of a part in frames and the others in a pool: what the kernel does with a region, done
// here. Pages are zero at first.
type resident struct {
	pool  Pool
	first int64   // number of the part's first page
	where []int32 // frame of each page, or one of the places below
	frame []frame
	mem   []byte // of the frames
	hand  int    // of the clock
	last  int    // frame that access returned
	loads int64
}

type frame struct {
	page       int32 // -1: the frame is free
	referenced bool  // since the hand passed
	dirty      bool  // the pool does not have it as it is
}

// Places of a page that is in no frame.
const (
	inPool  = -1
	nowhere = -2 // not there yet
)

func newResident(pool Pool, first int64, pages, frames int) *resident {
	r := &resident{pool: pool, first: first, where: make([]int32, pages), frame: make([]frame, frames), mem: make([]byte, frames*pageSize)}
	for i := range r.where {
		r.where[i] = nowhere
	}
	for i := range r.frame {
		r.frame[i].page = -1
	}
	return r
}

func (r *resident) bytes(f int) []byte { return r.mem[f*pageSize : (f+1)*pageSize : (f+1)*pageSize] }

func (r *resident) access(i int) ([]byte, error) {
	f := int(r.where[i])
	if f < 0 {
		var err error
		if f, err = r.evict(); err != nil {
			return nil, err
		}
		fresh := r.where[i] == nowhere
		if fresh {
			clear(r.bytes(f))
		} else {
			r.loads++
			if err := r.pool.Load(uint64(r.first)+uint64(i), r.bytes(f)); err != nil {
				return nil, fmt.Errorf("load: %w", err)
			}
		}
		r.frame[f] = frame{page: int32(i), dirty: fresh}
		r.where[i] = int32(f)
	}
	r.frame[f].referenced = true
	r.last = f
	return r.bytes(f), nil
}

// evict returns a free frame: the next one that was not referenced since the hand came by last.
func (r *resident) evict() (int, error) {
	for {
		f := r.hand
		r.hand = (r.hand + 1) % len(r.frame)
		v := &r.frame[f]
		if v.page < 0 {
			return f, nil
		}
		if v.referenced {
			v.referenced = false
			continue
		}
		if v.dirty {
			if err := r.pool.Store(uint64(r.first)+uint64(v.page), r.bytes(f)); err != nil {
				return 0, fmt.Errorf("%w: page %d: %w", ErrRefused, r.first+int64(v.page), err)
			}
		}
		r.where[v.page] = inPool
		v.page = -1
		return f, nil
	}
}

func (r *resident) written()      { r.frame[r.last].dirty = true }
func (r *resident) faults() int64 { return r.loads }
func (r *resident) close() error  { return nil }
