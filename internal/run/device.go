package run

import (
	"context"
	"errors"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/zram"
)

// Device is what pages are swapped to. The zero value is our own; the others are there to compare with.
type Device struct {
	ZRAM string // algorithm of a zram device
	File string // folder, on a disk, of a swap file
}

func (d Device) ours() bool { return d == Device{} }

// device is a swap device that is on. *door.Door is one.
type device interface {
	Device() string        // its path
	Used() (uint64, error) // bytes that are swapped out
	// Close turns swap off and takes the device away. After an error it can be called again.
	Close(ctx context.Context, o swapdev.OffOptions) error
}

// openDevice turns on what was asked for.
func (s *session) openDevice(ctx context.Context) error {
	var err error
	switch d := s.o.Device; {
	case d.ZRAM != "":
		err = s.openZRAM(d.ZRAM)
	case d.File != "":
		err = s.openFile(ctx, d.File)
	default:
		if err = s.openDoor(); err == nil {
			s.device = s.door
		}
	}
	return err
}

// zramDevice is a zram device of ours.
type zramDevice struct {
	swapdev.Target
	zram *zram.Device
}

func (s *session) openZRAM(algorithm string) error {
	z, err := zram.Create(algorithm, s.o.Swap)
	if err != nil {
		return err
	}
	z.Label = s.record.Label()
	if err = s.record.SetZRAM(z.Path()); err == nil {
		err = z.SwapOn(s.o.Priority)
	}
	if err != nil {
		return errors.Join(err, z.Remove())
	}
	s.device = zramDevice{swapdev.Block(z.Path()), z}
	return nil
}

func (d zramDevice) Device() string { return d.Path() }

func (d zramDevice) Close(ctx context.Context, o swapdev.OffOptions) error {
	if err := d.SwapOff(ctx, o); err != nil {
		return err
	}
	return d.zram.Remove()
}

// swapFile is a file of ours on a disk.
type swapFile struct{ swapdev.Target }

func (s *session) openFile(ctx context.Context, dir string) error {
	s.o.note("writing a swap file of %s in %s", report.Bytes(s.o.Swap), dir)
	t, err := s.record.CreateFile(ctx, dir, s.o.Swap)
	if err != nil {
		return err
	}
	if err := t.SwapOn(s.o.Priority, false); err != nil {
		return errors.Join(err, swapdev.RemoveFile(t.Path()))
	}
	s.device = swapFile{t}
	return nil
}

func (d swapFile) Device() string { return d.Path() }

func (d swapFile) Close(ctx context.Context, o swapdev.OffOptions) error {
	if err := d.SwapOff(ctx, o); err != nil {
		return err
	}
	return swapdev.RemoveFile(d.Path())
}

// memory returns what the device takes of the machine's memory now, in bytes; a file takes none.
func (s *session) memory() int64 {
	if z, ok := s.device.(zramDevice); ok {
		st, err := z.zram.Stats()
		if err != nil {
			return 0
		}
		return st.MemoryBytes()
	}
	if s.pool != nil {
		st := s.pool.Stats()
		return st.MemoryBytes
	}
	return 0
}
