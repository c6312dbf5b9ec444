package capture

import (
	"strings"
	"testing"
)

// FuzzMappings: whatever smaps says, it is refused, or every mapping has addresses in order and can be judged.
func FuzzMappings(f *testing.F) {
	f.Add(smaps)
	f.Add("10-20 rw-p 0 0:0 0\nSwap:\nVmFlags:\n")
	f.Add("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nAnonymous: -5 kB\nAnonymous: 99999999999999999999 kB\n")
	f.Add("0-1    \nAnonymous:9007199270000000")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseMappings(strings.NewReader(text))
		if err != nil {
			return
		}
		var below *mapping
		for i := range list {
			m := &list[i]
			if m.start >= m.end || strings.Contains(m.name, "\n") || m.anonymous < 0 || m.referenced < 0 || m.swapped < 0 {
				t.Fatalf("%q: %+v", text, m)
			}
			if all := m.leftOut(isStack(m, below, []uint64{m.start}), true); all == "" && !m.is("rd") {
				t.Fatalf("%q: %+v is not left out", text, m)
			}
			below = m
		}
	})
}
