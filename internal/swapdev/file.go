package swapdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	fileChunk = 1 << 20   // bytes written at a time
	fileSpare = 256 << 20 // bytes of the file system that are left for others
)

// CreateFile makes a swap file of so many bytes, a multiple of PageSize, in a folder on a disk: with a Header, and written
// in full, for the kernel does not swap to holes. The record names it first. Remove it with RemoveFile.
func (r *Run) CreateFile(ctx context.Context, dir string, size int64) (Target, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return Target{}, fmt.Errorf("swapdev: folder of the swap file: %w", err)
	}
	if err := CheckDisk(dir, size); err != nil {
		return Target{}, err
	}
	path := filepath.Join(dir, fileName(r.ID()))
	if err := r.change(func(c *Record) { c.File = path }); err != nil {
		return Target{}, err
	}
	if err := writeFile(ctx, path, size); err != nil {
		return Target{}, fmt.Errorf("swapdev: swap file: %w", errors.Join(err, RemoveFile(path)))
	}
	return File(path), nil
}

// RemoveFile removes a swap file, if it is there. Swap must be off.
func RemoveFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fileName returns the name of a run's swap file, which is no other's.
func fileName(id string) string { return "zswapd-" + id + ".swap" }

// CheckDisk refuses a folder in memory, and a disk without room for so many bytes.
func CheckDisk(dir string, size int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("a swap file in %s would be in memory, which is no disk: name a folder on one", dir)
	}
	if free := int64(fs.Bavail) * fs.Bsize; size > free-fileSpare {
		return fmt.Errorf("a swap file of %d MiB in %s, where %d MiB are free and %d are to be left: name another folder", size>>20, dir, free>>20, fileSpare>>20)
	}
	return nil
}

// writeFile writes a new file to the disk and drops it from memory.
func writeFile(ctx context.Context, path string, size int64) error {
	header, err := Header(uint64(size/PageSize), "")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	chunk := make([]byte, fileChunk)
	copy(chunk, header[:])
	for at := int64(0); at < size && err == nil; at += fileChunk {
		if err = context.Cause(ctx); err == nil {
			_, err = f.WriteAt(chunk[:min(fileChunk, size-at)], at)
		}
		clear(chunk[:PageSize])
	}
	if err == nil {
		err = f.Sync()
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // a wish
	return errors.Join(err, f.Close())
}

// removeFile removes the run's swap file. Another file is never touched: the name has the run's number in it.
func (c *cleaner) removeFile(ctx context.Context) error {
	path := c.record.File
	if path == "" || filepath.Base(path) != fileName(c.record.ID) {
		return nil
	}
	if err := c.swapOff(ctx, Target{host: c.host, path: path, file: true}, c.o.Off); err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := RemoveFile(path); err != nil {
		return err
	}
	c.say("removed %s", path)
	return nil
}
