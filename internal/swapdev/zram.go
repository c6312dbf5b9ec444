package swapdev

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Label returns what a run writes into the Header of a device that carries no tag, such as zram: most of its number.
func (r *Run) Label() string { return labelOf(r.ID()) }

func labelOf(id string) string { return id[:MaxLabel] }

// SetZRAM records a zram device that is about to become swap with our Label.
func (r *Run) SetZRAM(device string) error { return r.change(func(c *Record) { c.ZRAM = device }) }

// removeZRAM removes the run's zram device, if it still has the run's label. One that was killed before it had is left.
func (c *cleaner) removeZRAM(ctx context.Context) error {
	number, ok := strings.CutPrefix(filepath.Base(c.record.ZRAM), "zram")
	if n, err := strconv.Atoi(number); !ok || err != nil || n < 0 {
		return nil
	}
	t := Target{host: c.host, path: filepath.Join(c.host.dev, "zram"+number)}
	label, err := readLabel(t.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && label != labelOf(c.record.ID) {
		return nil
	}
	if err == nil {
		err = c.swapOff(ctx, t, c.o.Off)
	}
	if err == nil {
		err = c.putFree(filepath.Join(c.host.block, "zram"+number, "reset"), "1")
	}
	if err == nil {
		err = c.putFree(filepath.Join(c.host.zram, "hot_remove"), number)
	}
	if err != nil {
		return err
	}
	c.say("removed %s", t.path)
	return nil
}

// readLabel returns the label of a swap device, "" if it is none.
func readLabel(device string) (string, error) {
	f, err := os.Open(device)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var page [PageSize]byte
	_, err = io.ReadFull(f, page[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it was reset
		return "", nil
	}
	if string(page[headerMagic:]) != swapMagic {
		return "", err
	}
	label, _, _ := bytes.Cut(page[headerVolume:headerVolume+MaxLabel+1], []byte{0})
	return string(label), err
}

// putFree writes to an attribute of a device that others, such as udev's blkid, may have open for a moment.
func (c *cleaner) putFree(path, value string) error {
	for end := time.Now().Add(c.o.Timeout); ; time.Sleep(goneWait) {
		err := put(path, value)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}
