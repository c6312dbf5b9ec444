package swapdev

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// host names the places where the kernel shows itself. Tests point it at fixture trees.
type host struct {
	dev     string // device nodes
	block   string // sysfs, one folder per block device
	swaps   string
	meminfo string
	mounts  string
	boot    string // changes with every boot
	zram    string // folder of hot_remove

	pageCluster string
	swappiness  string
}

var kernel = host{
	dev:     "/dev",
	block:   "/sys/block",
	swaps:   "/proc/swaps",
	meminfo: "/proc/meminfo",
	mounts:  "/proc/self/mountinfo",
	boot:    "/proc/sys/kernel/random/boot_id",
	zram:    "/sys/class/zram-control",

	pageCluster: "/proc/sys/vm/page-cluster",
	swappiness:  "/proc/sys/vm/swappiness",
}

// MemAvailable returns the bytes that the kernel believes can be used without swapping.
func MemAvailable() (uint64, error) { return kernel.available() }

func (h host) available() (uint64, error) {
	text, err := os.ReadFile(h.meminfo)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			fields := strings.Fields(rest) // "  24321 kB"
			if len(fields) == 0 {
				break
			}
			kib, err := strconv.ParseUint(fields[0], 10, 54)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no MemAvailable", h.meminfo)
}

// read returns a small file's text without the white space around it, or "".
func read(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// put writes one value into a file that exists: sysfs files are never created.
func put(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
