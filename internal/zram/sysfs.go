package zram

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is returned when the kernel has no zram, or its module is not loaded.
var ErrUnavailable = errors.New("no zram: load it with modprobe zram")

const (
	control = "/sys/class/zram-control"
	busyFor = 3 * time.Second // how long we wait for others, such as udev's blkid, to close a device
)

// hotAdd makes a device and returns its number.
func hotAdd() (int, error) {
	text, err := os.ReadFile(filepath.Join(control, "hot_add"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrUnavailable
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// write sets an attribute of the device.
func (d *Device) write(attribute, value string) error {
	return set(filepath.Join(d.sysfs(), attribute), value)
}

// set writes value to a file of sysfs, again and again while somebody else has the device open.
func set(path, value string) error {
	for end := time.Now().Add(busyFor); ; time.Sleep(20 * time.Millisecond) {
		err := os.WriteFile(path, []byte(value), 0)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			if err != nil {
				err = fmt.Errorf("write %q: %w", value, err)
			}
			return err
		}
	}
}

// Algorithms lists what the kernel can compress with, the default first.
func Algorithms() ([]string, error) {
	files, err := filepath.Glob("/sys/block/zram*/comp_algorithm")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil { // a device may go away between the two
			return parseAlgorithms(string(text)), nil
		}
	}
	d := Device{}
	if d.index, err = hotAdd(); err != nil {
		return nil, fmt.Errorf("zram: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(d.sysfs(), "comp_algorithm"))
	if err := errors.Join(err, d.Remove()); err != nil {
		return nil, err
	}
	return parseAlgorithms(string(text)), nil
}

// parseAlgorithms reads "lzo-rle [lz4] zstd", the brackets around the one that is set.
func parseAlgorithms(text string) (list []string) {
	for _, name := range strings.Fields(text) {
		if bare := strings.Trim(name, "[]"); bare != name {
			list = append([]string{bare}, list...)
		} else {
			list = append(list, name)
		}
	}
	return list
}
