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

// SetZRAM records a zram device that was just made. Where its sequence number is not told it is ours once it is swap with our Label.
func (r *Run) SetZRAM(device string) error {
	return r.change(func(c *Record) { c.ZRAM, c.ZRAMSequence = device, kernel.sequence(device) })
}

// sequence returns the number that a block device shares with none before or after it, 0 if it is not told.
func (h host) sequence(device string) uint64 {
	n, _ := strconv.ParseUint(read(filepath.Join(h.block, filepath.Base(device), "diskseq")), 10, 64)
	return n
}

// removeZRAM removes the run's zram device, if it still is: told by its sequence number or, where there is none, by the run's label. One
// that was killed before it had that is left.
func (c *cleaner) removeZRAM(ctx context.Context) error {
	number, ok := strings.CutPrefix(filepath.Base(c.record.ZRAM), "zram")
	if n, err := strconv.Atoi(number); !ok || err != nil || n < 0 {
		return nil
	}
	t := Target{host: c.host, path: filepath.Join(c.host.dev, "zram"+number)}
	ours, err := c.isOurs(t)
	if err == nil && !ours {
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

func (c *cleaner) isOurs(t Target) (bool, error) {
	if n := c.record.ZRAMSequence; n != 0 {
		return c.host.sequence(t.path) == n, nil
	}
	label, err := readLabel(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return label == labelOf(c.record.ID), err
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
