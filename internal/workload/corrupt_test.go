package workload

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// spoiled is a region of which one access finds a flipped bit.
type spoiled struct {
	*region
	page, left int // accesses of the page until then
}

func (s *spoiled) access(i int) ([]byte, error) {
	page, err := s.region.access(i)
	if i == s.page {
		if s.left--; s.left == 0 {
			page[1234] ^= 4
		}
	}
	return page, err
}

func TestRunFindsAFlippedBit(t *testing.T) {
	each(t, func(t *testing.T, c Config) {
		c.Write = 0
		res, err := start(t.Context(), c, func(first int64, pages int) (memory, error) {
			r, err := newRegion(pages)
			if first != 0 {
				return r, err
			}
			return &spoiled{region: r, page: 42, left: 2}, err // the first access fills it
		})
		var f *Failure
		if !errors.As(err, &f) || res.First != f || f.Page != 42 || f.Version != 0 || f.Seed != c.Seed || f.Offset != 1234 || f.Want == f.Got {
			t.Fatalf("%v, %+v", err, res)
		}
		if res.Failures < 1 || c.Touch == Byte && res.Failures != 1 || c.Touch == Page && f.Phase != "touch" {
			t.Errorf("%v: %d failures", f, res.Failures)
		}
		if !strings.Contains(err.Error(), "page 42, version 0, seed 1, ") {
			t.Errorf("the error is %v", err)
		}
	})
}

// A page that cannot be swapped in is SIGBUS. A file that was cut off gives the same.
func TestRunSurvivesSIGBUS(t *testing.T) {
	const pages = 64
	c := small(1, Page)
	c.Bytes, c.Touches = pages*pageSize, 500
	f, err := os.Create(filepath.Join(t.TempDir(), "region"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(pages*pageSize))
	c.Progress = func(p Progress) {
		if p.Phase == "fill" {
			if err := f.Truncate((pages - 1) * pageSize); err != nil {
				t.Error(err)
			}
		}
	}
	res, err := start(t.Context(), c, func(int64, int) (memory, error) {
		mem, err := unix.Mmap(int(f.Fd()), 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return &region{mem: mem}, err
	})
	if res.First == nil || res.First.Page != pages-1 || !strings.Contains(err.Error(), "cannot be swapped in") {
		t.Fatalf("%v, %+v", err, res)
	}
	if res.Verified != pages || res.Touches != c.Touches {
		t.Errorf("the run did not go on: %+v", res)
	}
}
