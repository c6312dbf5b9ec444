package pmqos

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Device is the kernel's door for latency requests: a binary int32 of microseconds, valid while the file is open.
	Device = "/dev/cpu_dma_latency"

	noRequest = 2_000_000_000 // the kernel's default value in µs: nothing asked for
	lookEvery = 10 * time.Millisecond
)

// Options say when to hold. The zero value holds from the first event on, until 100 ms after the last one.
type Options struct {
	Threshold float64       // events per second from which on latency is held; 0 = any event
	Quiet     time.Duration // time below the threshold after which the hold is given up; 0 = 100 ms
	Disable   bool          // count events and do nothing
	Path      string        // the device; "" = Device
}

// Validate reports every setting that makes no sense.
func (o *Options) Validate() (err error) {
	if !(o.Threshold >= 0) { // also catches NaN
		err = errors.Join(err, fmt.Errorf("threshold = %v events/s: want 0 or more", o.Threshold))
	}
	if o.Quiet < 0 {
		err = errors.Join(err, fmt.Errorf("quiet = %v: want 0 or more", o.Quiet))
	}
	return err
}

// Hold asks the kernel for no wake-up latency while events flow. A nil Hold is valid and does nothing.
type Hold struct {
	events  atomic.Uint64 // bumped by the threads that serve
	resting atomic.Bool   // the looker sleeps on wake; whoever clears it sends the wake-up
	holding atomic.Bool   // for Stats
	raised  atomic.Uint64 // times the hold was taken
	failed  atomic.Uint64 // writes that the device refused

	opt    Options
	device *os.File // nil when disabled; written by the looker only
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
	close  sync.Once
}

// New opens the device and starts to watch. When the device cannot be opened it returns a Hold that counts
// and does nothing, together with the error: log it once and go on. A nil Hold comes only with bad Options.
func New(o Options) (*Hold, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("pmqos: %w", err)
	}
	o.Path = cmp.Or(o.Path, Device)
	o.Quiet = cmp.Or(o.Quiet, 100*time.Millisecond)
	h := &Hold{opt: o, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if o.Disable {
		close(h.done)
		return h, nil
	}
	if err := h.open(); err != nil {
		close(h.done)
		return h, fmt.Errorf("pmqos: no latency hold: %w", err)
	}
	h.resting.Store(true)
	go h.watch()
	return h, nil
}

// Event reports one fault. It neither blocks nor allocates; only the first one after a rest costs a wake-up.
func (h *Hold) Event() {
	if h == nil {
		return
	}
	h.events.Add(1)
	if h.resting.Load() && h.resting.CompareAndSwap(true, false) {
		select {
		case h.wake <- struct{}{}:
		default: // full: a wake-up is on its way
		}
	}
}

// Close gives the hold up and stops the watch. It may be called more than once.
func (h *Hold) Close() (err error) {
	if h == nil {
		return nil
	}
	h.close.Do(func() {
		close(h.stop)
		<-h.done
		if h.device != nil {
			err = h.device.Close()
		}
		h.holding.Store(false)
	})
	return err
}

// Stats is a snapshot of a Hold.
type Stats struct {
	Events  uint64
	Raised  uint64 // times the hold was taken
	Failed  uint64 // writes that the device refused
	Holding bool
}

// Stats returns the counters; those of a nil Hold are zero.
func (h *Hold) Stats() Stats {
	if h == nil {
		return Stats{}
	}
	return Stats{Events: h.events.Load(), Raised: h.raised.Load(), Failed: h.failed.Load(), Holding: h.holding.Load()}
}

// open opens the device and proves that it takes a request. The device stays open until Close: a hold is
// taken and given up by writing, so it needs no path and no privilege later.
func (h *Hold) open() error {
	device, err := os.OpenFile(h.opt.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	h.device = device
	if err := h.write(noRequest); err != nil {
		h.device = nil
		return errors.Join(err, device.Close())
	}
	return nil
}

// write sets the request, in microseconds.
func (h *Hold) write(us int32) error {
	var value [4]byte
	binary.NativeEndian.PutUint32(value[:], uint32(us))
	_, err := h.device.WriteAt(value[:], 0) // the device ignores the offset
	return err
}
