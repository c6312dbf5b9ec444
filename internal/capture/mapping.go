package capture

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// mapping is what /proc/PID/smaps tells of one range of addresses.
type mapping struct {
	start, end uint64 // bytes
	name       string // a file's path, "[heap]", "[anon:…]", …; or ""
	flags      []string
	anonymous  int64 // pages in memory that belong to no file and no shared memory
	referenced int64 // pages, those of files among them, that were touched since the kernel last looked
	swapped    int64 // pages that are swapped out
}

// is reports whether the mapping has a flag of VmFlags.
func (m *mapping) is(flag string) bool { return slices.Contains(m.flags, flag) }

// parseMappings reads smaps. What it does not know it skips.
func parseMappings(r io.Reader) (list []mapping, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // a path may have 4096 bytes, escaped
	for s.Scan() {
		line := s.Text()
		key, value, _ := strings.Cut(line, ":")
		if strings.Contains(key, "-") {
			m, err := parseHeader(line)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
			continue
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("smaps begins with %q", line)
		}
		m := &list[len(list)-1]
		switch key {
		case "Anonymous":
			m.anonymous = pages(value)
		case "Referenced":
			m.referenced = pages(value)
		case "Swap":
			m.swapped = pages(value)
		case "VmFlags":
			m.flags = strings.Fields(value)
		}
	}
	return list, s.Err()
}

// parseHeader reads "START-END PERMS OFFSET DEVICE INODE   NAME".
func parseHeader(line string) (m mapping, err error) {
	f := strings.SplitN(line, " ", 6)
	from, to, ok := strings.Cut(f[0], "-")
	m.start, err = strconv.ParseUint(from, 16, 64)
	if err == nil {
		m.end, err = strconv.ParseUint(to, 16, 64)
	}
	if err != nil || !ok || len(f) < 5 || m.end <= m.start {
		return m, fmt.Errorf("smaps has the line %q", line)
	}
	if len(f) == 6 {
		m.name = strings.TrimLeft(f[5], " ")
	}
	return m, nil
}

// pages reads "     124 kB".
func pages(value string) int64 {
	f := strings.Fields(value)
	if len(f) == 0 {
		return 0
	}
	kib, err := strconv.ParseUint(f[0], 10, 53) // fits in bytes, too
	if err != nil {
		return 0
	}
	return int64(kib << 10 / PageSize)
}
