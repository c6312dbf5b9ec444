package arena

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFixed maps the file over memory that is mapped already.
func mapFixed(t *testing.T, over []byte, fd int) {
	t.Helper()
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(unsafe.SliceData(over)), uintptr(len(over)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_FIXED|unix.MAP_NORESERVE)
	must(t, err)
}
