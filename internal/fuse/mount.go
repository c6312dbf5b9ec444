package fuse

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Mount makes a file system of one file and serves it. The mount stays detached: it has no path, and it lives
// as long as the file is open, by this process or by the loop device.
func Mount(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w%s", &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}, remedy(err))
	}
	s, err := newServer(fd, cfg)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	if err := s.mount(); err != nil {
		return nil, errors.Join(fmt.Errorf("fuse: mount: %w%s", err, remedy(err)), s.Close())
	}
	return s, nil
}

// mount mounts, starts the threads, which answer INIT, and opens the file.
func (s *Server) mount() error {
	dir, err := mountDetached(s.fd)
	if err != nil {
		close(s.gone)
		return err
	}
	defer unix.Close(dir) // the open file keeps the mount
	if err := s.start(); err != nil {
		close(s.gone)
		return err
	}
	file, err := unix.Openat(dir, fileName, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	s.file = os.NewFile(uintptr(file), fileName)
	return nil
}

// mountDetached returns the root directory of a new mount of the connection fd, attached nowhere.
func mountDetached(fd int) (int, error) {
	fs, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	for _, o := range [][2]string{
		{"source", "zswapd"},
		{"subtype", "zswapd"},
		{"fd", strconv.Itoa(fd)},
		{"rootmode", "40700"}, // octal: a directory
		{"user_id", strconv.Itoa(os.Geteuid())},
		{"group_id", strconv.Itoa(os.Getegid())},
	} {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return -1, fmt.Errorf("fsconfig %s=%s: %w", o[0], o[1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, os.NewSyscallError("fsconfig create", err)
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	return dir, os.NewSyscallError("fsmount", err)
}

// remedy says what a user can do about an error of opening the device or mounting.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return ": load the module with modprobe fuse; in a container, pass the device in"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ": run it as root with CAP_SYS_ADMIN; in a container, --privileged"
	case errors.Is(err, unix.ENOSYS):
		return ": the kernel is older than 5.2"
	}
	return ""
}
