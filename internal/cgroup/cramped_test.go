package cgroup

import (
	"maps"
	"strings"
	"testing"
)

// group1 adds a group of version 1.
func group1(files map[string]string, dir string, limit, used, file, swap string) {
	files[dir+"/memory.limit_in_bytes"], files[dir+"/memory.usage_in_bytes"] = limit+"\n", used+"\n"
	files[dir+"/memory.stat"] = "swap 0\nactive_file 5\ntotal_swap " + swap + "\ntotal_active_file " + file + "\ntotal_inactive_file 1\n"
}

const (
	mount1 = "30 20 0:26 / /cg rw - cgroup cgroup rw,memory\n"
	mount2 = "30 20 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
)

func TestMostCramped(t *testing.T) {
	v1 := map[string]string{"proc/self/mountinfo": mount1, "proc/self/cgroup": "4:memory:/\n"}
	group1(v1, "cg/no-limit", "9223372036854771712", "5", "0", "9")
	group1(v1, "cg/fits", "70", "50", "9", "30")
	v2 := map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/\n", "cg/cgroup.controllers": "memory\n",
		"cg/fits/memory.max": "1000\n", "cg/fits/memory.current": "900\n", "cg/fits/memory.swap.current": "500\n",
		"cg/fits/memory.stat":   "active_file 100\ninactive_file 150\nslab_reclaimable 50\nswapcached 100\n",
		"cg/no-swap/memory.max": "1000\n", "cg/no-swap/memory.current": "1000\n", "cg/no-swap/memory.stat": "anon 1\n", // swap accounting is off
	}
	for version, files := range []map[string]string{1: v1, 2: v2} {
		if version == 0 {
			continue
		}
		if c, ok, err := fixture(t, files).mostCramped(); ok || err != nil {
			t.Errorf("version %d: %+v, %v", version, c, err)
		}
		files = maps.Clone(files)
		if version == 1 {
			group1(files, "cg/a/b", "70", "50", "9", "90")
			group1(files, "cg/a/c", "70", "50", "9", "80")
		} else {
			files["cg/fits/memory.swap.current"] = "501\n"
		}
		tr := fixture(t, files)
		c, ok, err := tr.mostCramped()
		want := Cramped{Dir: tr.path("cg/a/b"), Limit: 70, Swap: 90, Room: 30}
		if version == 2 {
			want = Cramped{Dir: tr.path("cg/fits"), Limit: 1000, Swap: 401, Room: 400}
		}
		if !ok || err != nil || c != want || c.Lacks() == 0 {
			t.Errorf("version %d: %+v, want %+v; %v", version, c, want, err)
		}
	}
	if c, ok, err := fixture(t, map[string]string{"proc/self/mountinfo": "", "proc/self/cgroup": ""}).mostCramped(); ok || err != nil {
		t.Errorf("without cgroups: %+v, %v", c, err)
	}
	bad := maps.Clone(v1)
	bad["cg/fits/memory.limit_in_bytes"] = "much\n"
	if _, _, err := fixture(t, bad).mostCramped(); err == nil || !strings.Contains(err.Error(), "much") {
		t.Error(err)
	}
}

// The real ones can be read.
func TestMostCrampedHere(t *testing.T) {
	c, ok, err := MostCramped()
	if noErr(t, err); ok && c.Lacks() == 0 {
		t.Errorf("%+v", c)
	}
}
