package swapdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// CleanOptions of Clean.
type CleanOptions struct {
	Off     OffOptions    // for the swapoff of a dead run's device
	Timeout time.Duration // for each step that waits; 0: 30 s
}

// Clean undoes what dead runs have left, as far as it still carries their tag. The report tells what was done,
// one line each; the error what could not be, in which case the record stays for the next time. A missing folder
// is nothing to do. Records of living processes are left alone, and so are those that another process keeps for a
// successor: see Run.Lock.
//
// When the server behind a device is dead, what is swapped out to it is lost. swapoff then drops those pages: programs that
// touch them get SIGBUS (Linux 5.19 and later).
func Clean(ctx context.Context, dir string, o CleanOptions) (report []string, err error) {
	return kernel.clean(ctx, dir, o)
}

func (h host) clean(ctx context.Context, dir string, o CleanOptions) (report []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = CheckDir(dir)
	}
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	var ids []string
	for _, e := range entries {
		if id, _, _ := strings.Cut(e.Name(), "."); isID(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		lines, e := h.cleanRun(ctx, dir, id, o)
		report = append(report, lines...)
		err = errors.Join(err, e)
	}
	return report, err
}

// isID accepts 16 lower-case hexadecimal digits.
func isID(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}

func (h host) cleanRun(ctx context.Context, dir, id string, o CleanOptions) (report []string, err error) {
	lock, err := lockRun(dir, id)
	if errors.Is(err, errAlive) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := readRecord(dir, id)
	if errors.Is(err, os.ErrNotExist) { // killed before the first step
		return nil, removeRun(dir, id, lock)
	}
	defer lock.Close()
	if err != nil {
		return nil, fmt.Errorf("swapdev: %s is left alone: %w", recordPath(dir, id), err)
	}
	if r.Boot != read(h.boot) { // nothing of it can be left
		return []string{fmt.Sprintf("run %s of an earlier boot: forgotten", id)}, removeRun(dir, id, lock)
	}
	c := cleaner{host: h, dir: dir, record: r, o: o}
	for _, step := range []func(context.Context) error{c.restoreSysctls, c.killCommand, c.freeDevice, c.removeUBLK, c.removeZRAM, c.removeFile, c.unmount, c.removeCgroup} {
		if e := step(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("run %s (process %d): %w", id, r.PID, e))
		}
	}
	if err != nil {
		return c.report, err
	}
	return c.report, removeRun(dir, id, lock)
}
