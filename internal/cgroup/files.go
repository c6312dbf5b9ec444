package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// put writes a value into a file of a group; such files are never created.
func put(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// contains reports whether the word is in the file.
func contains(path, word string) bool {
	text, _ := os.ReadFile(path)
	return slices.Contains(strings.Fields(string(text)), word)
}

// number reads a file that holds one number; "max", and version 1's way of saying so, are 0.
func number(dir, name string) (uint64, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return 0, nil
	}
	v, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", dir, name, err)
	}
	if v >= unlimited {
		return 0, nil
	}
	return v, nil
}

// unlimited: version 1 shows "no limit" as the largest number of whole pages in 63 bits, whatever the page size.
const unlimited = 1<<63 - 1<<20

// keyed reads a file of "key number" lines and returns the numbers of the keys, 0 for those it lacks.
func keyed(dir, name string, keys ...string) (values []uint64, err error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	values = make([]uint64, len(keys))
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		if i := slices.Index(keys, f[0]); i >= 0 {
			values[i], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return values, err
}

// explain adds the way out to an error of the file system.
func explain(what, dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s in %s: %w: run as root, or under systemd-run --scope -p Delegate=yes", what, dir, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s in %s: %w: this container may not make cgroups: mount cgroups writable", what, dir, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s in %s: %w: the group has processes of its own", what, dir, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s in %s: %w: the memory controller is not enabled there", what, dir, err)
	}
	return fmt.Errorf("%s in %s: %w", what, dir, err)
}
