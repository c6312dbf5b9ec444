package zram

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// PageSize is the unit of all I/O, in bytes.
const PageSize = 4096

// Device is a zram device that Create made. Its methods must not be called concurrently, WritePages and ReadPages
// excepted.
type Device struct {
	index     int
	algorithm string
	pages     int64
	file      *os.File // nil before it is open and after it was closed
	swap      bool     // SwapOn was called, and SwapOff was not
	removed   bool
	record    *swapdev.Run // nil: there is none

	// Label of the swap area, at most swapdev.MaxLabel bytes. Set it before SwapOn.
	Label string
}

// Create makes a new device of sizeBytes, rounded up to whole pages, that compresses with algorithm. It needs root.
// Remove it when done.
func Create(algorithm string, sizeBytes int64) (*Device, error) {
	return create(algorithm, sizeBytes, nil)
}

// CreateRecorded is Create with a record in a folder of swapdev.NewRun, which Remove removes: if we are killed, the next swapdev.Clean
// removes the device. Without a folder there is no record.
func CreateRecorded(folder, algorithm string, sizeBytes int64) (*Device, error) {
	if folder == "" {
		return Create(algorithm, sizeBytes)
	}
	r, err := swapdev.NewRun(folder)
	if err != nil {
		return nil, fmt.Errorf("zram: %w", err)
	}
	return create(algorithm, sizeBytes, r)
}

func create(algorithm string, sizeBytes int64, record *swapdev.Run) (*Device, error) {
	d := &Device{algorithm: algorithm, pages: (sizeBytes + PageSize - 1) / PageSize, record: record}
	if sizeBytes <= 0 {
		return nil, errors.Join(fmt.Errorf("zram: a device of %d bytes", sizeBytes), d.forget())
	}
	var err error
	if d.index, err = hotAdd(); err != nil {
		return nil, errors.Join(fmt.Errorf("zram: %w", err), d.forget())
	}
	if record != nil {
		err = record.SetZRAM(d.Path())
	}
	if err == nil {
		err = d.setUp()
	}
	if err != nil {
		return nil, fmt.Errorf("zram: %s, %s: %w", d.Path(), algorithm, errors.Join(err, d.Remove()))
	}
	return d, nil
}

// forget removes the record of a device that is not there.
func (d *Device) forget() error {
	if d.record == nil {
		return nil
	}
	return d.record.Close()
}

func (d *Device) setUp() error {
	if err := d.write("comp_algorithm", d.algorithm); err != nil {
		return err
	}
	if err := d.write("disksize", strconv.FormatInt(d.pages*PageSize, 10)); err != nil {
		return err
	}
	for end := time.Now().Add(busyFor); ; time.Sleep(time.Millisecond) {
		fd, err := unix.Open(d.Path(), unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err == nil {
			d.file = os.NewFile(uintptr(fd), d.Path())
			return nil
		}
		if !errors.Is(err, unix.ENOENT) || time.Now().After(end) { // devtmpfs makes the node a moment later
			return fmt.Errorf("open %s: %w", d.Path(), err)
		}
	}
}

func (d *Device) sysfs() string { return "/sys/block/zram" + strconv.Itoa(d.index) }

// Path returns the device's name, such as /dev/zram1.
func (d *Device) Path() string { return "/dev/zram" + strconv.Itoa(d.index) }

// Algorithm returns what the device compresses with.
func (d *Device) Algorithm() string { return d.algorithm }

// Pages returns the size of the device.
func (d *Device) Pages() int64 { return d.pages }

// File returns the device, open for direct I/O. It stays the device's.
func (d *Device) File() *os.File { return d.file }

// Remove turns swap off, frees what is stored and removes the device. A second call does nothing; a call after an
// error goes on from there.
func (d *Device) Remove() error {
	if d.removed {
		return nil
	}
	if err := d.SwapOff(); err != nil {
		return err
	}
	if d.file != nil {
		_ = d.file.Close() // nothing is buffered; zram forgets all of it anyway
		d.file = nil
	}
	err := d.write("reset", "1")
	if err == nil {
		err = set(filepath.Join(control, "hot_remove"), strconv.Itoa(d.index))
	}
	if err != nil {
		return fmt.Errorf("zram: remove %s: %w", d.Path(), err)
	}
	d.removed = true
	return d.forget()
}
