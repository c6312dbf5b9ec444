package swapdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrOn: the device cannot be detached while the kernel swaps to it.
	ErrOn = errors.New("swapdev: swap is on: SwapOff first")
	// ErrOff: the device is not in /proc/swaps.
	ErrOff = errors.New("swapdev: swap is off")
	// ErrDetached: the device was given back with Detach.
	ErrDetached = errors.New("swapdev: the device was detached")
	// ErrForeign: the loop device does not carry the tag: it is somebody else's now.
	ErrForeign = errors.New("swapdev: the loop device is not ours")
)

// DetachLimit is how long Detach waits for the kernel to let go of the device.
const DetachLimit = 5 * time.Second

// Options of Attach.
type Options struct {
	// Tag is the name given to the loop device, 1 to 63 bytes: Run.Tag. It is how a later process knows
	// that the device is ours.
	Tag string
	// Intent, if any, is told each device ("/dev/loop3") before we try to take it: Run.SetLoop.
	// Attach gives up if it fails. The last one told is the one taken.
	Intent func(device string) error
	// Queue holds the settings to make; nil means Queue().
	Queue []Setting
}

// A Device is a loop device of ours. Its methods may be called concurrently; they wait for each other,
// except Used and Path.
type Device struct {
	host     host   // immutable
	index    int    // immutable: N of /dev/loopN
	tag      string // immutable
	warnings []string

	mu   sync.Mutex
	loop *os.File // guarded by mu; nil once detached
}

// Attach gives the file to a free loop device: 4 KiB blocks, direct I/O, autoclear. The file must be a
// multiple of 4 KiB long; the device keeps its own reference to it.
func Attach(file *os.File, o Options) (*Device, error) { return kernel.attach(file, o) }

func (h host) attach(file *os.File, o Options) (*Device, error) {
	if err := checkTag(o.Tag); err != nil {
		return nil, err
	}
	if err := checkFile(file); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		d, err := h.tryAttach(file, o)
		if err == nil || !errors.Is(err, unix.EBUSY) || try == attachTries {
			return d, err
		}
	}
}

// tryAttach makes one attempt. EBUSY: somebody took the device between the question and the answer.
func (h host) tryAttach(file *os.File, o Options) (*Device, error) {
	index, err := h.freeLoop()
	if err != nil {
		return nil, err
	}
	d := &Device{host: h, index: index, tag: o.Tag}
	if o.Intent != nil {
		if err := o.Intent(d.Path()); err != nil {
			return nil, err
		}
	}
	if d.loop, err = h.openLoop(index, os.O_RDWR); err != nil {
		return nil, fmt.Errorf("swapdev: %w", err)
	}
	if err := configure(d.loop, file, o.Tag); err != nil {
		_ = d.loop.Close()
		return nil, fmt.Errorf("swapdev: attach to %s: %w", d.Path(), err)
	}
	if err := h.directIO(d.loop, index); err != nil {
		return nil, errors.Join(err, d.Detach())
	}
	settings := o.Queue
	if settings == nil {
		settings = Queue()
	}
	d.warnings = h.tune(loopName(index), settings)
	return d, nil
}

// Find opens a device that another process of ours attached, if it still carries the tag, else ErrForeign.
func Find(device, tag string) (*Device, error) { return kernel.find(device, tag) }

func (h host) find(device, tag string) (*Device, error) {
	number, ok := strings.CutPrefix(filepath.Base(device), "loop")
	index, err := strconv.Atoi(number)
	if !ok || err != nil || index < 0 || number != strconv.Itoa(index) {
		return nil, fmt.Errorf("swapdev: %q is no loop device", device)
	}
	if !h.bound(index) {
		return nil, ErrForeign // it holds no file: nobody's
	}
	loop, err := h.openLoop(index, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("swapdev: %w", err)
	}
	got, err := loopTag(loop)
	if err == nil && got == tag && tag != "" {
		return &Device{host: h, index: index, tag: tag, loop: loop}, nil
	}
	_ = loop.Close()
	if err == nil || errors.Is(err, unix.ENXIO) {
		err = ErrForeign
	}
	return nil, err
}

// Path returns the device node, such as /dev/loop3.
func (d *Device) Path() string { return filepath.Join(d.host.dev, loopName(d.index)) }

// Warnings tells which queue settings did not take: the device works, perhaps not as well as it could.
func (d *Device) Warnings() []string { return d.warnings }

// Detach gives the loop device back and waits until the kernel has let go of the file. It refuses with ErrOn
// while swap is on. A second call does nothing.
func (d *Device) Detach() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil {
		return nil
	}
	claim, err := d.claim()
	if err != nil {
		return err
	}
	defer claim.Close()
	if err := unix.IoctlSetInt(int(d.loop.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("swapdev: detach %s: %w", d.Path(), err)
	}
	_, _ = d.loop.Close(), claim.Close() // the last close is what detaches it
	d.loop = nil
	return d.host.gone(d.index, d.tag, DetachLimit)
}

// claim takes the device for us alone, so that nobody can turn swap on any more: swapon wants it alone, too. One who has just
// turned swap off keeps it for some moments more.
func (d *Device) claim() (*os.File, error) {
	for end := time.Now().Add(DetachLimit); ; time.Sleep(goneWait) {
		if _, on, err := d.host.swapOf(loopName(d.index)); err != nil || on {
			return nil, errors.Join(err, onError(on))
		}
		f, err := d.host.openLoop(d.index, os.O_RDONLY|unix.O_EXCL)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, unix.EBUSY):
			return nil, fmt.Errorf("swapdev: %w", err)
		case time.Now().After(end):
			return nil, fmt.Errorf("swapdev: detach %s: %w: somebody has it for himself", d.Path(), err)
		}
	}
}

// Release closes our hold on the device and leaves it attached if swap is on: for a process that hands over
// to a successor. With swap off the kernel detaches it (autoclear).
func (d *Device) Release() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil {
		return nil
	}
	err := d.loop.Close()
	d.loop = nil
	return err
}

func onError(on bool) error {
	if on {
		return ErrOn
	}
	return nil
}

func checkFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("swapdev: %w", err)
	}
	if size := info.Size(); size < MinPages*PageSize || size%PageSize != 0 {
		return fmt.Errorf("swapdev: %s has %d bytes: want a multiple of %d, at least %d", file.Name(), size, PageSize, MinPages*PageSize)
	}
	if os.Getpagesize() != PageSize {
		return fmt.Errorf("swapdev: the kernel's pages have %d bytes: want %d", os.Getpagesize(), PageSize)
	}
	return nil
}
