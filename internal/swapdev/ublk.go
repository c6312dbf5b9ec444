package swapdev

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/zswapd/zswapd/internal/ublk"
)

// SetUBLK records a ublk device that is about to be made, with our Number as its tag: ublk.Server.Create.
func (r *Run) SetUBLK(device string) error { return r.change(func(c *Record) { c.UBLK = device }) }

// Number returns the ID as the number that it is: the tag of a ublk device.
func (r *Run) Number() uint64 { return r.record.number() }

func (r *Record) number() uint64 {
	n, _ := strconv.ParseUint(r.ID, 16, 64) // 16 digits
	return n
}

// Tune makes queue settings of a block device, and returns one warning for each that did not take.
func Tune(device string, settings []Setting) (warnings []string) {
	return kernel.tune(filepath.Base(device), settings)
}

// nobody is the store of a device whose pages are lost.
type nobody struct{}

var errLost = errors.New("the pages are lost")

func (nobody) Load(uint64, []byte) error       { return errLost }
func (nobody) Store(uint64, []byte) error      { return errLost }
func (nobody) Invalidate(uint64, uint64) error { return nil }

// removeUBLK removes the run's ublk device. While its server is dead who reads it waits; so where swap is on we serve it, with
// errors.
func (c *cleaner) removeUBLK(ctx context.Context) error {
	if c.record.UBLK == "" {
		return nil
	}
	s, err := ublk.New(ublk.Config{Pages: 1 << 32, NewStore: func() ublk.Store { return nobody{} }})
	if errors.Is(err, os.ErrNotExist) { // the driver is gone
		return nil
	}
	if err != nil {
		return err
	}
	number, disk, err := s.Find(c.record.UBLK, c.record.number())
	if errors.Is(err, ublk.ErrForeign) {
		return s.Close()
	}
	t := Target{host: c.host, path: c.record.UBLK}
	if _, e := t.Used(); err == nil && disk && e == nil {
		if err = s.Recover(number); err == nil {
			err = c.swapOff(ctx, t, c.lost())
		}
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.Remove(number); err != nil {
		return err
	}
	c.say("removed %s", c.record.UBLK)
	return nil
}
