package door

import "testing"

func TestNumber(t *testing.T) {
	const pressure = "some avg10=12.34 avg60=0.00 avg300=0.00 total=4711\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=77\n"
	const info = "MemTotal:         523756 kB\nMemFree:           14220 kB\nMemAvailable:       2211 kB\n"
	for _, c := range []struct {
		text  string
		marks []string
		want  uint64
		ok    bool
	}{
		{pressure, []string{"some ", "total="}, 4711, true}, {pressure, []string{"full ", "total="}, 77, true},
		{info, []string{"MemTotal:"}, 523756, true}, {info, []string{"MemAvailable:"}, 2211, true},
		{info, []string{"MemNothing:"}, 0, false}, {"MemTotal: many", []string{"MemTotal:"}, 0, false}, {"", []string{"a"}, 0, false},
		{"a", []string{"a"}, 0, false},
	} {
		if n, ok := number([]byte(c.text), c.marks...); n != c.want || ok != c.ok {
			t.Errorf("%q in %q: %d, %t", c.marks, c.text, n, ok)
		}
	}
}

// What is read here is what a machine with memory says.
func TestMemory(t *testing.T) {
	var m memory
	m.open()
	if share := m.stalled(); share < 0 || m.short() {
		t.Errorf("stalled for %v, short: %t", share, m.short())
	}
	noErr(t, m.close())
}
