package workload

import (
	"fmt"
	"slices"
	"strings"
)

// named are the workloads that have a name: an order of touches, and how many percent of them write.
var named = []struct {
	name, mode string
	write      int
}{
	{"random", Random, 30},
	{"scan", Scan, 30},
	{"zipf", Zipf, 30},
	{"cold", Cold, 30},
	{"fork", Fork, 30},
	{"read-mostly", Random, 5},
	{"write-heavy", Random, 90},
}

// Names returns the names that Named knows.
func Names() (names []string) {
	for _, w := range named {
		names = append(names, w.name)
	}
	return names
}

// Named returns c with the order and the writes of the workload of that name.
func (c Config) Named(name string) (Config, error) {
	for _, w := range named {
		if w.name == name {
			c.Mode, c.Write = w.mode, w.write
			return c, nil
		}
	}
	return c, fmt.Errorf("%q is none: want %s", name, strings.Join(Names(), ", "))
}

var modes = []string{Random, Scan, Zipf, Cold, Fork}

func isMode(mode string) bool { return slices.Contains(modes, mode) }
