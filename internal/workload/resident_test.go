package workload

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// mapPool keeps pages in a map. spoil, if set, may change what Load returns.
type mapPool struct {
	mu     sync.Mutex
	pages  map[uint64][]byte
	loads  int
	stores int
	spoil  func(p *mapPool, slot uint64, dst []byte) error
	refuse func(p *mapPool, slot uint64) error // asked before a Store
}

func (p *mapPool) Load(slot uint64, dst []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.pages[slot]
	if !ok {
		return errors.New("not there")
	}
	copy(dst, b)
	p.loads++
	if p.spoil != nil {
		return p.spoil(p, slot, dst)
	}
	return nil
}

var errDrop = errors.New("drop it")

func (p *mapPool) Store(slot uint64, src []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		switch err := p.refuse(p, slot); {
		case errors.Is(err, errDrop):
			return nil
		case err != nil:
			return err
		}
	}
	p.stores++
	p.pages[slot] = append(p.pages[slot][:0], src...)
	return nil
}

func runPool(t *testing.T, c Config, p *mapPool) (Result, error) {
	p.pages = make(map[uint64][]byte)
	c.Resident = 60 * pageSize
	return RunPool(t.Context(), c, p)
}

func TestRunPool(t *testing.T) {
	each(t, func(t *testing.T, c Config) {
		var p mapPool
		res, err := runPool(t, c, &p)
		must(t, err)
		checkWhole(t, c, res)
		if share := float64(res.Fault.Count) / float64(res.Touches); share < 0.7 || share > 0.9 {
			t.Errorf("%d of %d touches loaded a page; 60 of 301 are resident", res.Fault.Count, res.Touches)
		}
		if p.stores == 0 || p.stores >= p.loads {
			t.Errorf("%d stores, %d loads: pages that did not change need no store", p.stores, p.loads)
		}
	})
}

// Whatever a pool does wrong is found, and the failure says which page.
func TestRunPoolFindsWhatIsWrong(t *testing.T) {
	at := func(n int, do func(p *mapPool, slot uint64, dst []byte) error) func(*mapPool, uint64, []byte) error {
		return func(p *mapPool, slot uint64, dst []byte) error {
			if p.loads != n {
				return nil
			}
			return do(p, slot, dst)
		}
	}
	var slot uint64 // that was done wrong
	for name, test := range map[string]struct {
		pool *mapPool
		want string
	}{
		"flipped bit": {&mapPool{spoil: at(300, func(_ *mapPool, s uint64, dst []byte) error {
			slot = s
			dst[4095] ^= 0x80
			return nil
		})}, "wrong from byte 4095"},
		"another page": {&mapPool{spoil: at(300, func(p *mapPool, s uint64, dst []byte) error {
			slot = s
			copy(dst, p.pages[(s+17)%301])
			return nil
		})}, "wrong from byte"},
		"load error": {&mapPool{spoil: at(300, func(_ *mapPool, s uint64, _ []byte) error {
			slot = s
			return errors.New("checksum")
		})}, "load: checksum"},
		"stale page": {&mapPool{refuse: func(p *mapPool, s uint64) error {
			if p.stores == 500 {
				p.stores++
				slot = s
				return errDrop
			}
			return nil
		}}, "wrong from byte"},
	} {
		t.Run(name, func(t *testing.T) {
			c := small(1, Page)
			c.Pages = "python"
			res, err := runPool(t, c, test.pool)
			var f *Failure
			if !errors.As(err, &f) || f.Page != int64(slot) || !strings.Contains(f.Error(), test.want) || res.Failures == 0 {
				t.Errorf("%v, %d failures; want page %d, %s", err, res.Failures, slot, test.want)
			}
		})
	}
}

func TestRunPoolEndsWhenAPageIsRefused(t *testing.T) {
	var slot uint64
	p := mapPool{refuse: func(p *mapPool, s uint64) error {
		if p.stores == 400 {
			p.stores++
			slot = s
			return errors.New("full")
		}
		return nil
	}}
	res, err := runPool(t, small(1, Page), &p)
	if !errors.Is(err, ErrRefused) || res.Failures != 0 || !strings.Contains(err.Error(), fmt.Sprintf("page %d: full", slot)) {
		t.Errorf("%v, %d failures, slot %d", err, res.Failures, slot)
	}
}

// The clock spares a page that is touched again and again, and a page that was read but never written stays zero.
func TestResidentEvictsWhatIsNotTouched(t *testing.T) {
	p := &mapPool{pages: make(map[uint64][]byte)}
	r := newResident(p, 1000, 50, 8)
	touch := func(i int) {
		t.Helper()
		page, err := r.access(i)
		must(t, err)
		if [pageSize]byte(page) != [pageSize]byte{} {
			t.Errorf("page %d is not zero", i)
		}
	}
	for round := range 3 {
		for i := range 50 {
			touch(i)
			touch(7)
		}
		if p.pages[1007] != nil {
			t.Fatalf("round %d: the page that was touched most was evicted", round)
		}
	}
	if r.faults() != int64(p.loads) || p.loads < 80 || p.stores != 49 {
		t.Errorf("%d faults, %d loads, %d stores; want 49 stores: none after the first of a page", r.faults(), p.loads, p.stores)
	}
}
