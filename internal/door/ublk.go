package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/ublk"
)

// ublkWay is a ublk device. Its character device can be open in one process only, so what a keeper holds is not that but the
// device's folder in sysfs: it says which one it is, and as soon as the device is gone, nothing.
type ublkWay struct {
	server *ublk.Server
	folder int // descriptor
	target swapdev.Target
	notes  []string
}

func openUBLK(o *Options) (*ublkWay, error) {
	server, err := ublk.New(o.ublk(o.Pool.Slots()))
	if err != nil {
		return nil, err
	}
	if err := server.Create(o.Record.Number(), o.Record.SetUBLK); err != nil {
		return nil, err
	}
	w := &ublkWay{server: server, folder: -1}
	w.tune(o)
	path := fmt.Sprintf("/sys/class/ublk-char/ublkc%d", server.Number())
	if w.folder, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, errors.Join(&os.PathError{Op: "open", Path: path, Err: err}, w.undo())
	}
	return w, nil
}

// ublk returns how the pool is served.
func (o *Options) ublk(pages uint64) ublk.Config {
	return ublk.Config{
		Pages:    pages,
		NewStore: func() ublk.Store { return o.store() },
		Refusals: refusals,
		Hold:     o.Hold,
		Ready:    o.ready(),
	}
}

// tune makes the settings of the device's queue. One request less than there are tags: see package ublk.
func (w *ublkWay) tune(o *Options) {
	w.target = swapdev.Block(w.server.Device())
	w.notes = swapdev.Tune(w.server.Device(), append(swapdev.Queue(), swapdev.Setting{Name: "nr_requests", Value: strconv.Itoa(ublk.DefaultDepth)}))
}

// prepareUBLK makes a server for the device of the folder, of which it owns the descriptor from now on, errors included. A process
// that is cold has to be warm before the first request; a standby was made so, and looks for memory when it serves.
func prepareUBLK(folder int, o *Options, cold bool) (*ublkWay, error) {
	c := o.ublk(maxPages)
	if !cold {
		c.Ready = nil
	}
	server, err := ublk.New(c)
	if err != nil {
		return nil, errors.Join(err, unix.Close(folder))
	}
	return &ublkWay{server: server, folder: folder}, nil
}

// maxPages is for a device that was made by another process: the driver knows how large it is, and asks for no more.
const maxPages = 1 << 51

// adopt serves the device, whose server is dead, or has released it.
func (w *ublkWay) adopt() error {
	number, err := deviceOf(w.folder)
	if err == nil {
		err = w.server.Recover(number)
	}
	if err != nil {
		return err
	}
	w.target = swapdev.Block(w.server.Device())
	return nil
}

func (w *ublkWay) find(r swapdev.Record) error {
	if r.UBLK != w.server.Device() {
		return fmt.Errorf("%w: the record names %q, the handle %s", swapdev.ErrForeign, r.UBLK, w.server.Device())
	}
	return nil
}

// deviceOf returns the number of the ublk device whose folder in sysfs the descriptor is: what stands in its file "dev".
func deviceOf(folder int) (number int, err error) {
	fd, err := unix.Openat(folder, "dev", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: the ublk device is gone: %w", swapdev.ErrForeign, err)
	}
	defer unix.Close(fd)
	b := make([]byte, 32)
	n, err := unix.Read(fd, b)
	if err != nil {
		return -1, fmt.Errorf("%w: the ublk device is gone: %w", swapdev.ErrForeign, err)
	}
	_, minor, _ := bytes.Cut(bytes.TrimSpace(b[:n]), []byte(":"))
	if number, err = strconv.Atoi(string(minor)); err != nil {
		return -1, fmt.Errorf("the handle of a ublk device reads %q", b[:n])
	}
	return number, nil
}

func (w *ublkWay) handle() Handle            { return Handle{UBLKHandle, w.folder} }
func (w *ublkWay) path() string              { return w.server.Device() }
func (w *ublkWay) swapOn(priority int) error { return w.target.SwapOn(priority, true) }
func (w *ublkWay) used() (uint64, error)     { return w.target.Used() }
func (w *ublkWay) uring() error              { return nil }
func (w *ublkWay) warnings() []string        { return w.notes }
func (w *ublkWay) failed() <-chan error      { return w.server.Failed() }

func (w *ublkWay) swapOff(ctx context.Context, o swapdev.OffOptions) error {
	return w.target.SwapOff(ctx, o)
}

func (w *ublkWay) stats() fuse.Stats {
	s := w.server.Stats()
	return fuse.Stats{
		Reads: s.Reads, ReadPages: s.ReadPages, ReadErrors: s.ReadErrors,
		Writes: s.Writes, WrittenPages: s.WrittenPages, WriteErrors: s.WriteErrors,
		Discards: s.Discards, DiscardedPages: s.DiscardedPages, DiscardErrors: s.DiscardErrors,
		RefusedWrites: s.RefusedWrites, Panics: s.Panics,
		Malformed: s.Malformed, ReplyErrors: s.CopyErrors, Blocks: s.Waits,
		Load: s.Load, Store: s.Store, Resend: true, Locked: s.Locked,
	}
}

// undo never takes away a device that the kernel swaps to: that would lose the pages.
func (w *ublkWay) undo() error {
	if w.server.Device() != "" {
		if _, err := swapdev.Block(w.server.Device()).Used(); !errors.Is(err, swapdev.ErrOff) {
			return errors.Join(err, swapdev.ErrOn)
		}
	}
	return errors.Join(w.server.Delete(), w.closeFolder())
}

func (w *ublkWay) release() error { return errors.Join(w.server.Close(), w.closeFolder()) }

func (w *ublkWay) closeFolder() error {
	if w.folder < 0 {
		return nil
	}
	err := unix.Close(w.folder)
	w.folder = -1
	return err
}
