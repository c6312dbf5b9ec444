package ublk

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/zswapd/zswapd/internal/pmqos"
)

// Store is the way to the pages. Offsets and counts are in pages of 4096 bytes, slices are multiples of that and are not kept
// after the call. A page that was never stored, or was invalidated, loads as zeros. Any error reaches the client as EIO. A
// call must not wait for anything that needs this device.
type Store interface {
	Load(first uint64, dst []byte) error
	Store(first uint64, src []byte) error
	Invalidate(first, n uint64) error
}

// Limits and defaults.
const (
	DefaultDepth    = 16 // requests that the block layer may have under way
	defaultMaxPages = 32 // of one request
	maxDepth        = 1024
	maxMaxPages     = 1024
)

// Config is what a Server needs to know.
type Config struct {
	Pages    uint64       // size of the device
	Depth    int          // requests under way; 0: DefaultDepth. To be set as nr_requests in the device's queue, see the package
	MaxPages int          // of one request; 0: 32
	NewStore func() Store // called once by Create or Recover
	Refusals []error      // of Store: there is no room, and the kernel keeps the page; as they are, not wrapped
	Hold     *pmqos.Hold  // told about every READ; may be nil

	// Ready, if any, is called when everything was made, before the first request is looked at.
	Ready func() error
}

func (c *Config) withDefaults() Config {
	d := *c
	d.Depth, d.MaxPages = cmp.Or(c.Depth, DefaultDepth), cmp.Or(c.MaxPages, defaultMaxPages)
	return d
}

// Validate reports every setting that cannot work, with its value.
func (c *Config) Validate() (err error) {
	if c.Pages == 0 || c.Pages > 1<<51 {
		err = errors.Join(err, fmt.Errorf("pages = %d: want 1 to 2^51", c.Pages))
	}
	if c.Depth < 0 || c.Depth > maxDepth {
		err = errors.Join(err, fmt.Errorf("depth = %d: want 0 to %d", c.Depth, maxDepth))
	}
	if c.MaxPages < 0 || c.MaxPages > maxMaxPages {
		err = errors.Join(err, fmt.Errorf("pages of a request = %d: want 0 to %d", c.MaxPages, maxMaxPages))
	}
	if c.NewStore == nil {
		err = errors.Join(err, errors.New("no store"))
	}
	return err
}

// epoch is the zero of all times in this package: a difference to it is cheaper to take than two clocks.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }
