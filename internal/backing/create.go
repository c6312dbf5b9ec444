package backing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mark is what a file of ours begins with; it says no more than that.
const mark = "zswapd: pages that were swapped out, encrypted with a key that is not in here\n"

// Create opens what is to hold pages: in a folder, a file without a name, which is gone when nobody has it open any more; a
// block device that nobody uses; or else a regular file, made if it is not there. A file or a device that holds anything
// that is not ours where others have what tells theirs, or that is in use, is refused. The file is open past the page cache if its file system can do that.
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

// Whoever has a device keeps what tells so in its first MiBs or at its end: 4 KiB in (md, bcache), 64 KiB (btrfs), 256 KiB (ZFS),
// 1 and 2 MiB (VMFS), up to 4 MiB (the second header of LUKS); the last sector (GPT), the last MiB (md, ZFS, DRBD). Often that is
// all that is written at first, and our mark stays. So there we never write anything but the mark, and there must be nothing
// else, or the device is somebody's by now. Between them anything may be: it is what we have written, or it is nobody's.
const (
	headBytes = 5 * ExtentBytes
	tailBytes = ExtentBytes
)

// claimFile locks a file, and marks it if it may be written over. The lock lives as long as any copy of the descriptor.
func claimFile(f *os.File) error {
	d, _, size, _, err := look(f)
	if err != nil {
		return err
	}
	if err := unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("in use: %w", err)
	}
	ours, err := unused(d, size)
	if err != nil {
		return err
	}
	if !ours {
		return fmt.Errorf("it holds %d bytes that are not ours; if nobody needs them, write zeros over its first 5 MiB and its last MiB", size)
	}
	if !d.device {
		if err := unix.Ftruncate(d.fd, 0); err != nil {
			return err
		}
	}
	return d.writeAt(markBlock(), 0)
}

// markBlock is what a file of ours begins with.
func markBlock() []byte {
	b := aligned(markBytes)
	copy(b, mark)
	return b
}

// unused reports whether a file is empty, but for our mark, where others would have what tells that it is theirs. A regular file with
// our mark is ours whatever else is in it: nobody makes anything of a part of it.
func unused(d *fileDisk, size int64) (bool, error) {
	b, zeros := aligned(ExtentBytes), make([]byte, ExtentBytes)
	for _, part := range [][2]int64{{0, min(headBytes, size)}, {max(size-tailBytes, 0) / maxBlock * maxBlock, size}} {
		for off, end := part[0], part[1]; off < end; {
			n, err := unix.Pread(d.fd, b, off)
			if err == unix.EINTR {
				continue
			}
			if err == nil && n == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return false, err
			}
			n = int(min(int64(n), end-off))
			if off == 0 && bytes.HasPrefix(b[:n], markBlock()) {
				if !d.device {
					return true, nil
				}
				clear(b[:markBytes])
			}
			if !bytes.Equal(b[:n], zeros[:n]) {
				return false, nil
			}
			off += int64(n)
		}
	}
	return true, nil
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
