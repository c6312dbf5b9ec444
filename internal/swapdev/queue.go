package swapdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Setting is one file under /sys/block/loopN/queue and the value it should have.
type Setting struct{ Name, Value string }

// Queue returns the settings that Attach makes by default:
//
//   - wbt_lat_usec: no writeback throttling. It delays swap-out when reads are slow, which is just
//     when memory is short.
//   - scheduler: nothing to sort, and one copy of the request less.
//   - rotational: swapon then takes one cluster per CPU instead of scanning one after another.
//   - read_ahead_kb: swap has its own read-ahead (vm.page-cluster).
//   - add_random: our timing is no entropy.
func Queue() []Setting {
	return []Setting{
		{"wbt_lat_usec", "0"},
		{"scheduler", "none"},
		{"rotational", "0"},
		{"read_ahead_kb", "0"},
		{"add_random", "0"},
	}
}

// tune makes the settings, each as well as it can, and returns one warning for each that did not take. A file
// that this kernel does not have is no warning: then there is nothing to turn off.
func (h host) tune(device string, settings []Setting) (warnings []string) {
	for _, s := range settings {
		path := filepath.Join(h.block, device, "queue", s.Name)
		if selected(read(path)) == s.Value {
			continue
		}
		err := put(path, s.Value)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if got := selected(read(path)); got != s.Value {
			warnings = append(warnings, fmt.Sprintf("%s stays %q, wanted %q: %v", path, got, s.Value, err))
		}
	}
	return warnings
}

// selected returns the value in brackets where a file lists its choices ("[none] mq-deadline"), else all of it.
func selected(value string) string {
	if _, rest, ok := strings.Cut(value, "["); ok {
		if choice, _, ok := strings.Cut(rest, "]"); ok {
			return choice
		}
	}
	return value
}
