package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CheckFile says why a file cannot be written, before anything is looked at. force allows to replace a file.
func CheckFile(file string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case file == "":
		return errors.New("where to? give -o FILE")
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("-o %s: not a file that can be replaced", file)
	case err == nil && !force:
		return fmt.Errorf("-o %s: there is such a file; --force replaces it", file)
	}
	dir, err := os.Stat(filepath.Dir(file))
	switch {
	case err != nil:
		return fmt.Errorf("-o: %w", err)
	case !dir.IsDir():
		return fmt.Errorf("-o %s: %s is no folder", file, filepath.Dir(file))
	}
	return nil
}

// WriteFile writes a sample of at most so many pages to a file that only its owner may read, and returns how many it holds.
// The file appears when it is whole, or not at all, and takes the place of another only by force.
func (pop *Population) WriteFile(ctx context.Context, file string, force bool, most int64, seed uint64, progress func(done int64)) (written int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".zswapd-capture-*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	err = pop.Sample(ctx, most, seed, func(run []byte) error {
		written += int64(len(run) / PageSize)
		if progress != nil {
			progress(written)
		}
		_, err := w.Write(run)
		return err
	})
	if err == nil && written == 0 {
		err = ErrNothing
	}
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return written, rename(f.Name(), file, force)
}

func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL { // not every file system has it
		if err = os.Link(from, to); err == nil {
			return os.Remove(from)
		}
	}
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("-o %s: there is such a file by now; --force replaces it", to)
	}
	return err
}
