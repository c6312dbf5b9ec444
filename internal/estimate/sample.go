package estimate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/zpool"
)

const pageSize = zpool.PageSize

// sample is some pages of a population, and what they are.
type sample struct {
	mem        []byte // mapped
	used       int    // bytes
	runs       []run
	same       int64 // pages of one value throughout
	duplicates int64 // pages that are not same-filled and equal an earlier one
}

// run is some neighbours.
type run struct {
	pages  []byte // all
	others []byte // those that are not same-filled; elsewhere only if some are
}

// take samples at most so many pages of a population. Close the result.
func take(ctx context.Context, pop *capture.Population, most int64, seed uint64) (*sample, error) {
	size := min(most, pop.Pages) * pageSize
	if size == 0 {
		return nil, capture.ErrNothing
	}
	s, err := newSample(2 * size) // the others of a run, too
	if err != nil {
		return nil, err
	}
	seen, hash := map[uint64]struct{}{}, maphash.MakeSeed()
	err = pop.Sample(ctx, most, seed, func(pages []byte) error {
		s.add(pages, seen, hash)
		return nil
	})
	if err == nil && len(s.runs) == 0 {
		err = capture.ErrNothing
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func newSample(bytes int64) (*sample, error) {
	mem, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for a sample of %d bytes: %w", bytes/2, err)
	}
	s := &sample{mem: mem}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		return nil, errors.Join(fmt.Errorf("madvise: %w", err), s.close())
	}
	return s, nil
}

func (s *sample) close() error { return unix.Munmap(s.mem) }

// keep copies bytes into the sample's memory.
func (s *sample) keep(b []byte) []byte {
	at := s.used
	s.used += copy(s.mem[at:], b)
	return s.mem[at:s.used:s.used]
}

func (s *sample) add(pages []byte, seen map[uint64]struct{}, hash maphash.Seed) {
	r := run{pages: s.keep(pages)}
	at := s.used
	for n := 0; n < len(pages); n += pageSize {
		page := pages[n : n+pageSize]
		if bytes.Equal(page[8:], page[:pageSize-8]) {
			s.same++
			continue
		}
		s.keep(page)
		sum := maphash.Bytes(hash, page)
		if _, ok := seen[sum]; ok {
			s.duplicates++
		}
		seen[sum] = struct{}{}
	}
	r.others = s.mem[at:s.used:s.used]
	if len(r.others) == len(r.pages) {
		r.others, s.used = r.pages, at
	}
	s.runs = append(s.runs, r)
}

func (s *sample) pages() (n int64) {
	for _, r := range s.runs {
		n += int64(len(r.pages) / pageSize)
	}
	return n
}
