package pagegen

import (
	"fmt"
	"strings"
)

// Mix is how many percent of the pages are of each kind. It sums to 100.
type Mix [Kinds]uint8

// Typical is a server that runs a few managed programs. A minority of its pages is easy: zero pages are few, because
// figures made of zero pages say nothing.
var Typical = Mix{Java: 15, Node: 15, Python: 15, Text: 12, JSON: 15, Code: 10, Sparse: 8, Random: 5, Same: 5}

// Only returns the mix of one kind.
func Only(k Kind) (m Mix) {
	m[k] = 100
	return m
}

// ParseMix returns the mix of a name: "typical", or a kind's name for pages of that kind only.
func ParseMix(name string) (Mix, error) {
	if name == "typical" {
		return Typical, nil
	}
	for k := range Kinds {
		if name == names[k] {
			return Only(k), nil
		}
	}
	return Mix{}, fmt.Errorf("pages %q: want typical or one of %s", name, strings.Join(names[:], ", "))
}

// String returns the composition, such as "java heap 60 %, text 40 %".
func (m Mix) String() string {
	var parts []string
	for k, percent := range m {
		if percent == 0 {
			continue
		}
		name := Kind(k).String()
		switch Kind(k) {
		case Java, Node, Python, Redis:
			name += " heap"
		case JSON:
			name = "JSON"
		case Same:
			name += "-filled"
		}
		parts = append(parts, fmt.Sprintf("%s %d %%", name, percent))
	}
	return strings.Join(parts, ", ")
}

// kind returns the kind of point n of 100.
func (m Mix) kind(n uint8) Kind {
	for k, percent := range m {
		if n < percent {
			return Kind(k)
		}
		n -= percent
	}
	panic(fmt.Sprintf("pagegen: a mix of %v percent", [Kinds]uint8(m)))
}
