package swapdev

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	attachTries = 64                    // devices that others may take from under us
	nodeWait    = 20 * time.Millisecond // between looks for a device node that udev is making
	goneWait    = 5 * time.Millisecond  // between looks at a device that is going away
	nodeTries   = 25
)

// loopName returns the kernel's name of a loop device.
func loopName(index int) string { return fmt.Sprintf("loop%d", index) }

// freeLoop asks the kernel for the number of a loop device nobody uses. Others may take it first.
func (h host) freeLoop() (int, error) {
	ctl, err := os.OpenFile(filepath.Join(h.dev, "loop-control"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("swapdev: no %s/loop-control: load the module with modprobe loop", h.dev)
	}
	if err != nil {
		return 0, fmt.Errorf("swapdev: %w: loop devices need root", err)
	}
	defer ctl.Close()
	index, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return 0, fmt.Errorf("swapdev: no free loop device: %w", err)
	}
	return index, nil
}

// openLoop opens the node of a loop device, waiting a little for one that is just being made.
func (h host) openLoop(index, flags int) (*os.File, error) {
	path := filepath.Join(h.dev, loopName(index))
	for try := 1; ; try++ {
		f, err := os.OpenFile(path, flags, 0)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
		if try == nodeTries {
			return nil, fmt.Errorf("%s is missing: mount a devtmpfs on %s, or mknod -m 660 %s b 7 %d", path, h.dev, path, index)
		}
		time.Sleep(nodeWait)
	}
}

// configure gives the file to the loop device. EBUSY: somebody else was faster.
func configure(loop, file *os.File, tag string) error {
	c := unix.LoopConfig{Fd: uint32(file.Fd()), Size: PageSize}
	c.Info.Flags = unix.LO_FLAGS_DIRECT_IO | unix.LO_FLAGS_AUTOCLEAR
	copy(c.Info.File_name[:len(c.Info.File_name)-1], tag)
	return unix.IoctlLoopConfigure(int(loop.Fd()), &c)
}

// loopTag returns the name given at configure. ENXIO: the device holds no file.
func loopTag(loop *os.File) (string, error) {
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if err != nil {
		return "", err
	}
	name, _, _ := bytes.Cut(info.File_name[:], []byte{0})
	return string(name), nil
}

// directIO makes sure that the loop device bypasses the page cache: with it every page would be held twice,
// and the kernel would need memory to free memory.
func (h host) directIO(loop *os.File, index int) error {
	path := filepath.Join(h.block, loopName(index), "loop/dio")
	if read(path) == "1" {
		return nil
	}
	err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_DIRECT_IO, 1)
	if got := read(path); got != "1" {
		return fmt.Errorf("swapdev: the kernel refuses direct I/O on this file (%s reads %q, LOOP_SET_DIRECT_IO: %v): use one that can be opened with O_DIRECT", path, got, err)
	}
	return nil
}

// bound reports whether the device has a file now, without opening it.
func (h host) bound(index int) bool {
	_, err := os.Stat(filepath.Join(h.block, loopName(index), "loop"))
	return err == nil
}

// gone waits until the device has no file any more, or somebody else's. Detaching is not immediate: the
// kernel does it when the last opener (udev looking for signatures, say) has closed the device.
func (h host) gone(index int, tag string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(goneWait) {
		if !h.bound(index) {
			return nil
		}
		if loop, err := h.openLoop(index, os.O_RDONLY); err == nil {
			now, err := loopTag(loop)
			_ = loop.Close()
			if errors.Is(err, unix.ENXIO) || err == nil && now != tag {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("swapdev: %s is still attached after %v: somebody holds it open", loopName(index), limit)
		}
	}
}

func checkTag(tag string) error {
	if tag == "" || len(tag) > 63 || strings.ContainsAny(tag, "\x00\n") {
		return fmt.Errorf("swapdev: tag %q: want 1 to 63 bytes on one line", tag)
	}
	return nil
}
