package ublk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnavailable: the kernel has no ublk, or one that cannot do what we need.
var ErrUnavailable = errors.New("the kernel has no ublk that we can use")

const modprobeLimit = 10 * time.Second

// Available returns nil if the driver is there, having loaded it if need be, and can do what we need; else why not.
func Available() error {
	c, err := openControl()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	bits, err := c.features()
	err = errors.Join(err, c.close())
	if err == nil && bits&featuresWanted != featuresWanted {
		err = fmt.Errorf("it offers features %#x, we need %#x", bits, featuresWanted)
	}
	if err != nil {
		return fmt.Errorf("%w: it takes Linux 6.5: %w", ErrUnavailable, err)
	}
	return nil
}

// load loads the driver if its node is not there.
func load() error {
	if _, err := os.Stat(controlPath); err == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s is missing, and only root can load the driver: %w", controlPath, os.ErrNotExist)
	}
	ctx, cancel := context.WithTimeout(context.Background(), modprobeLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "modprobe", "ublk_drv").CombinedOutput()
	for range 50 { // devtmpfs is quick, others may not be
		if _, e := os.Stat(controlPath); e == nil || err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, e := os.Stat(controlPath); e == nil {
		return nil
	}
	return fmt.Errorf("%s is missing (modprobe ublk_drv: %v %s): %w", controlPath, err, strings.TrimSpace(string(out)), os.ErrNotExist)
}

// openChar opens the character device of that number, waiting a little for a node that is just being made, or for a server
// that is just going away: one process can have it open.
func openChar(number int) (fd int, err error) {
	path := fmt.Sprintf("/dev/ublkc%d", number)
	for try := 1; ; try++ {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil || err != unix.ENOENT && err != unix.EBUSY || try == 200 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
