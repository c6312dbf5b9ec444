package trace

import "hash/maphash"

// windowPages is how many distinct pages can be referred to: 32 MiB, which a reader keeps. A page that comes again
// later is written again.
const windowPages = 8192

// sum identifies a page: 128 bits, keyed anew in each process, so that no page can be made to be taken for another.
type sum [2]uint64

// distinct is the writer's window.
type distinct struct {
	seeds  [2]maphash.Seed
	number map[sum]uint64 // of each page in the window
	sums   []sum          // of page n at n modulo windowPages
	next   uint64         // number of the next distinct page
}

func newDistinct() distinct {
	return distinct{
		seeds:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		number: make(map[sum]uint64, windowPages),
		sums:   make([]sum, windowPages),
	}
}

// find returns how many distinct pages ago this one was written, 1 for the last; 0 if it is new, or forgotten, and is
// now the last.
func (d *distinct) find(page []byte) (back uint64) {
	s := sum{maphash.Bytes(d.seeds[0], page), maphash.Bytes(d.seeds[1], page)}
	if n, ok := d.number[s]; ok {
		return d.next - n
	}
	at := d.next % windowPages
	if d.next >= windowPages {
		delete(d.number, d.sums[at])
	}
	d.sums[at], d.number[s] = s, d.next
	d.next++
	return 0
}

// recent is the reader's window.
type recent struct {
	pages [][]byte // of page n at n modulo windowPages
	next  uint64
}

func (r *recent) add(page []byte) {
	if len(r.pages) < windowPages {
		r.pages = append(r.pages, page)
	} else {
		r.pages[r.next%windowPages] = page
	}
	r.next++
}

// back returns the n-th last page, nil if there is none.
func (r *recent) back(n uint64) []byte {
	if n == 0 || n > uint64(len(r.pages)) {
		return nil
	}
	return r.pages[(r.next-n)%windowPages]
}
