package loadtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelLog watches what the kernel says about a swap device: a page that it could not write or read, which it may hide from
// everybody else.
type KernelLog struct {
	fd     int // -1: cannot be read here
	name   string
	number string // MAJOR:MINOR
}

// WatchKernelLog begins now.
func WatchKernelLog(t testing.TB, device string) *KernelLog {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Seek(fd, 0, unix.SEEK_END)
	}
	if err != nil {
		t.Logf("the kernel's log is not watched: %v", err)
		return &KernelLog{fd: -1}
	}
	t.Cleanup(func() { unix.Close(fd) })
	name := filepath.Base(device)
	number, err := os.ReadFile(filepath.Join("/sys/block", name, "dev"))
	if err != nil {
		t.Fatal(err)
	}
	return &KernelLog{fd: fd, name: name, number: strings.TrimSpace(string(number))}
}

// Complaints returns the lines about the device since the last call. Reads that fail and are not of swap are udev's, which looks what is
// on a device that goes.
func (k *KernelLog) Complaints() (lines []string) {
	if k.fd < 0 {
		return nil
	}
	for buf := make([]byte, 8192); ; {
		n, err := unix.Read(k.fd, buf)
		if err == unix.EPIPE { // some lines were overwritten
			continue
		}
		if err != nil || n == 0 {
			return lines
		}
		line := string(buf[:n])
		if strings.Contains(line, "swap-device ("+k.number+":") || strings.Contains(line, "dev "+k.name+",") && !strings.Contains(line, "(READ)") &&
			!strings.HasPrefix(line[strings.IndexByte(line, ';')+1:], "Buffer I/O error") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
}
