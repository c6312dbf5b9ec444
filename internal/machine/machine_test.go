package machine

import (
	"runtime"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	m := Describe()
	if m.CPUs < 1 || m.MemoryBytes < 16<<20 || strings.Count(m.Kernel, ".") < 1 || m.Go != runtime.Version() {
		t.Errorf("%+v", m)
	}
	if s := m.String(); !strings.Contains(s, m.Kernel) || !strings.Contains(s, m.Go) {
		t.Error(s)
	}
}

func TestParseCPU(t *testing.T) {
	const text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\nmodel name\t: Another\nflags\t\t: fpu\n"
	if model, virtual := parseCPU(text); model != "A CPU @ 2 GHz" || !virtual {
		t.Error(model, virtual)
	}
	if _, virtual := parseCPU("flags : fpu nohypervisor\n"); virtual {
		t.Error("virtual")
	}
}

func TestChosen(t *testing.T) {
	for text, want := range map[string]string{"always [madvise] never": "madvise", "": "", "[x": "x"} {
		if got := chosen(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestNoise(t *testing.T) {
	before := parseStat("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1")
	n := parseStat("cpu  150 0 120 910 0 0 0 20 0 0\n").since(before)
	if n.Busy < 0.349 || n.Busy > 0.351 || n.Stolen != 0.1 || n.UserSeconds != 0.5 || n.SystemSeconds != 0.2 {
		t.Errorf("%+v", n)
	}
	if n := parseStat("").since(before); n != (Noise{}) {
		t.Errorf("%+v", n)
	}
}
