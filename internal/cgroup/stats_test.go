package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStatsVersion2(t *testing.T) {
	tr := fixture(t, map[string]string{
		"g/memory.max": "67108864\n", "g/memory.current": "41000960\n", "g/memory.peak": "67108864\n", "g/memory.swap.current": "8192\n",
		"g/memory.stat": "anon 1\npgfault 10\npgmajfault 5\nswapcached 9\n", "g/memory.events": "low 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
	})
	g := &Group{dir: tr.path("g"), version: 2}
	want := Stats{Limit: 64 << 20, Current: 41000960, Peak: 64 << 20, Swap: 8192, MajorFaults: 5, OOMKills: 1}
	if s, err := g.Stats(); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	// An old kernel, with no limit.
	noErr(t, os.Remove(filepath.Join(g.dir, "memory.peak")))
	noErr(t, os.Remove(filepath.Join(g.dir, "memory.swap.current")))
	noErr(t, os.WriteFile(filepath.Join(g.dir, "memory.max"), []byte("max\n"), 0o644))
	want.Limit, want.Peak, want.Swap = 0, 0, 0
	if s, err := g.Stats(); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestStatsVersion1(t *testing.T) {
	tr := fixture(t, map[string]string{
		"g/memory.limit_in_bytes": "9223372036854771712\n", "g/memory.usage_in_bytes": "4096\n", "g/memory.max_usage_in_bytes": "8192\n",
		"g/memory.stat":        "cache 0\npgmajfault 1\nswap 4096\ntotal_pgmajfault 7\ntotal_swap 12288\n",
		"g/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
	})
	g := &Group{dir: tr.path("g"), version: 1}
	want := Stats{Current: 4096, Peak: 8192, Swap: 12288, MajorFaults: 7, OOMKills: 3}
	if s, err := g.Stats(); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := (&Group{dir: tr.path("none"), version: 1}).Stats(); err == nil {
		t.Error("Stats of no group")
	}
}

// TestSetUpVersion2: what is written where, on files that only remember.
func TestSetUpVersion2(t *testing.T) {
	tr := fixture(t, map[string]string{"g/memory.max": "", "g/memory.swap.max": "", "g/memory.oom.group": "", "p/cgroup.subtree_control": ""})
	g := &Group{dir: tr.path("g"), version: 2}
	noErr(t, g.setUp(32<<20))
	noErr(t, hierarchy{version: 2, mount: tr.path("p")}.enable(tr.path("p")))
	for name, want := range map[string]string{"g/memory.max": "33554432", "g/memory.swap.max": "max", "g/memory.oom.group": "1", "p/cgroup.subtree_control": "+memory"} {
		if text, _ := os.ReadFile(tr.path(name)); string(text) != want {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
	noErr(t, os.Remove(tr.path("g/memory.swap.max"))) // no swap accounting
	noErr(t, g.setUp(32<<20))
	noErr(t, os.Remove(tr.path("g/memory.max")))
	if err := g.setUp(32 << 20); err == nil || !strings.Contains(err.Error(), "not enabled") {
		t.Error(err)
	}
}
