package iobuf

import (
	"os"

	"golang.org/x/sys/unix"
)

// New returns zeroed pages outside the Go heap, every one of them present, and locked if we may. The kernel
// copies requests into them and replies out of them: a page that had to be faulted in there could wait for swap,
// which waits for us, and a kill during that wait would end the request in an error instead of sending it again.
func New(size int) (buf []byte, locked bool, err error) {
	buf, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, false, os.NewSyscallError("mmap", err)
	}
	if unix.Madvise(buf, unix.MADV_POPULATE_WRITE) != nil { // Linux 5.14
		for i := 0; i < size; i += os.Getpagesize() {
			buf[i] = 0
		}
	}
	_ = unix.Madvise(buf, unix.MADV_DONTFORK) // a child must not make them copy-on-write
	return buf, unix.Mlock(buf) == nil, nil
}
