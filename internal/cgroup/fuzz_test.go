package cgroup

import "testing"

// FuzzMount: of any line of mountinfo and any /proc/self/cgroup, our own group is below the mount or is not known.
func FuzzMount(f *testing.F) {
	f.Add(v2Mount, "0::/system.slice/x.service\n")
	f.Add("35 31 0:32 /a\\040b /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:cpu,memory:/a b/c\n")
	f.Add(v2Mount, "0::/../../other/zswapd-self\n")
	f.Add("33 26 0:28 / - cgroup2 cgroup2 rw\n", "0::/\n")
	f.Add("35 31 0:32 / /m rw - cgroup\n", "4:memory:/\n")
	f.Fuzz(func(t *testing.T, line, groups string) {
		m, ok := parseMount(line)
		if !ok {
			return
		}
		if m.version != 1 && m.version != 2 {
			t.Fatalf("%q: %+v", line, m)
		}
		const mounted = "/mounted/here"
		if own := ownGroup(groups, m, mounted); own != "" {
			if _, ok := under(mounted, own); !ok {
				t.Fatalf("%+v, %q: our group is %q", m, groups, own)
			}
		}
	})
}
