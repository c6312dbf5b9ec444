package backing

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mark is what a file of ours begins with; it says no more than that.
const mark = "zswapd: pages that were swapped out, encrypted with a key that is not in here\n"

// Create opens what is to hold pages: in a folder, a file without a name, which is gone when nobody has it open any more; a
// block device that nobody uses; or else a regular file, made if it is not there. A file or a device that holds anything
// that is not ours, or that is in use, is refused. The file is open past the page cache if its file system can do that.
func Create(path string) (f *os.File, err error) {
	flags := os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case st.IsDir():
		flags = os.O_RDWR | unix.O_TMPFILE
	case st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0:
		flags = os.O_RDWR | os.O_EXCL // not while it is mounted, or swapped to
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s: neither a folder, nor a file, nor a block device", path)
	}
	if f, err = os.OpenFile(path, flags|unix.O_DIRECT, 0o600); errors.Is(err, unix.EINVAL) {
		f, err = os.OpenFile(path, flags, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := claimFile(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// lookBytes is how much of what is there must be zeros if it does not begin with our mark. Some file systems leave the first 64 KiB
// alone (btrfs, reiserfs, UFS2).
const lookBytes = 1 << 20

// claimFile locks a file, and marks it if it may be written over. The lock lives as long as any copy of the descriptor.
func claimFile(f *os.File) error {
	d, _, size, _, err := look(f)
	if err != nil {
		return err
	}
	if err := unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("in use: %w", err)
	}
	b := aligned(lookBytes)
	n, err := unix.Pread(d.fd, b, 0)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b[:n], []byte(mark)) && !bytes.Equal(b[:n], make([]byte, n)) {
		return fmt.Errorf("it holds %d bytes that are not ours; if nobody needs them, write zeros over the first MiB", size)
	}
	clear(b)
	copy(b, mark)
	if !d.device {
		if err := unix.Ftruncate(d.fd, 0); err != nil {
			return err
		}
	}
	return d.writeAt(b[:markBytes], 0)
}

// aligned returns memory that is there and fit for direct input and output.
func aligned(n int) []byte {
	b := make([]byte, n+maxBlock)
	b = b[alignment(b):][:n:n]
	for i := 0; i < n; i += maxBlock { // faulted in
		b[i] = 1
	}
	clear(b)
	return b
}
