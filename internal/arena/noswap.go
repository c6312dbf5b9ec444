package arena

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// noswapFile returns an empty file whose memory is never swapped out (Linux 6.4, CAP_SYS_ADMIN).
//
// A store outlives its process, but no memory lock does. While nobody has it mapped, and until the next process has
// touched all of it, the kernel may swap it out: to the very device that it is the store of. Then whoever recovers it
// waits for a page that only he could serve.
func noswapFile(name string) (*os.File, error) {
	dir, err := noswapDir()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, os.NewSyscallError("openat", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// noswapDir returns the root of a file system in memory without swap, mounted nowhere: one for the process, for ever.
var noswapDir = sync.OnceValues(func() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetFlag(fs, "noswap"); err != nil {
		return -1, os.NewSyscallError("fsconfig noswap", err)
	}
	if err := unix.FsconfigSetString(fs, "size", "0"); err != nil { // no limit: that is the budget's part
		return -1, os.NewSyscallError("fsconfig size", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, os.NewSyscallError("fsconfig create", err)
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	return dir, os.NewSyscallError("fsmount", err)
})
