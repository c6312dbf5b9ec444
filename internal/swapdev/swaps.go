package swapdev

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// area is one line of /proc/swaps.
type area struct {
	name     string // unescaped, without the mark of a deleted file
	kind     string // "partition" for block devices, "file"
	size     uint64 // bytes
	used     uint64 // bytes
	priority int
}

// areas reads the swap areas that are on. Lines it does not understand are left out.
func (h host) areas() (list []area, err error) {
	text, err := os.ReadFile(h.swaps)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if a, ok := parseArea(line); ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// On returns the devices and files that the kernel swaps to now.
func On() (names []string, err error) {
	list, err := kernel.areas()
	for _, a := range list {
		names = append(names, a.name)
	}
	return names, err
}

// parseArea reads "name type size used priority", sizes in KiB. White space and backslashes in the
// name are written as \ooo, so a deleted file's name ends in "\040(deleted)".
func parseArea(line string) (a area, ok bool) {
	f := fields(line)
	if len(f) < 5 {
		return a, false
	}
	size, err1 := strconv.ParseUint(f[2], 10, 54)
	used, err2 := strconv.ParseUint(f[3], 10, 54)
	priority, err3 := strconv.Atoi(f[4])
	if err1 != nil || err2 != nil || err3 != nil {
		return a, false // the header line, too
	}
	name := strings.TrimSuffix(unescape(f[0]), " (deleted)")
	return area{name: name, kind: f[1], size: size << 10, used: used << 10, priority: priority}, true
}

// fields splits at the white space that the kernel writes between fields. Names may hold other white space, such as U+3000,
// which it does not escape and strings.Fields takes for such.
func fields(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
}

// unescape turns \ooo (three octal digits) into the byte it stands for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// swapOf returns the swap area on the block device of that name ("loop3"), if it is on. The folder is
// not compared: the kernel shows the path as the caller of swapon saw it, perhaps in another mount
// namespace.
func (h host) swapOf(device string) (a area, on bool, err error) {
	list, err := h.areas()
	for _, a := range list {
		if a.kind == "partition" && filepath.Base(a.name) == device {
			return a, true, nil
		}
	}
	return area{}, false, err
}
