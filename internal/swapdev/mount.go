package swapdev

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// unmount takes away the run's file system, if what is mounted there is FUSE and has our tag as its source.
func (c *cleaner) unmount(context.Context) error {
	if c.record.Mount == "" {
		return nil
	}
	dir := filepath.Clean(c.record.Mount)
	text, err := os.ReadFile(c.host.mounts)
	if err != nil || !ourMount(string(text), dir, c.record.Tag) {
		return err
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return &os.PathError{Op: "unmount", Path: dir, Err: err}
	}
	c.say("unmounted %s", dir)
	return nil
}

// ourMount looks into a mountinfo text for the topmost mount on the folder: the last line wins. A line is
// "id parent dev root MOUNTPOINT options [tags…] - TYPE SOURCE superoptions", names escaped as in /proc/swaps.
func ourMount(text, dir, tag string) (ours bool) {
	for line := range strings.Lines(text) {
		head, tail, ok := strings.Cut(line, " - ")
		f, t := fields(head), fields(tail)
		if !ok || len(f) < 6 || len(t) < 2 || unescape(f[4]) != dir {
			continue
		}
		isFUSE := t[0] == "fuse" || strings.HasPrefix(t[0], "fuse.")
		ours = isFUSE && unescape(t[1]) == tag
	}
	return ours
}
