package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fixture builds a tree of files; a name that ends in / is a folder.
func fixture(t *testing.T, files map[string]string) tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		noErr(t, os.MkdirAll(dir, 0o755))
		if !strings.HasSuffix(name, "/") {
			noErr(t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
	return tree{root: root}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	v2Mount   = "33 26 0:28 / /sys/fs/cgroup rw,nosuid shared:8 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	v1Mounts  = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	bareMount = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, groups string
		controllers    string // path of a cgroup.controllers file that has memory
		version        int
		mount, own     string
	}{
		"version 2":                         {v2Mount, "0::/system.slice/x.service\n", "/sys/fs/cgroup", 2, "/sys/fs/cgroup", "/sys/fs/cgroup/system.slice/x.service"},
		"version 2, after we moved down":    {v2Mount, "0::/x.service/zswapd-self\n", "/sys/fs/cgroup", 2, "/sys/fs/cgroup", "/sys/fs/cgroup/x.service"},
		"version 1 beside a bare version 2": {v1Mounts + bareMount, "4:memory:/a/b\n1:cpu:/\n0::/\n", "", 1, "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a/b"},
		"hybrid with memory in version 2": {
			v1Mounts[:strings.Index(v1Mounts, "35 ")] + bareMount, "1:cpu:/c\n0::/u\n",
			"/sys/fs/cgroup/unified", 2, "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/u",
		},
		"two controllers in one mount, odd folder": {
			`5 1 0:9 / /my\040groups rw - cgroup none rw,cpu,memory` + "\n", "3:cpu,memory:/x\n", "", 1, "/my groups", "/my groups/x",
		},
		"container: a part of the hierarchy": {
			strings.Replace(v2Mount, "0:28 / ", "0:28 /docker/abc ", 1), "0::/docker/abc/init\n", "/sys/fs/cgroup", 2, "/sys/fs/cgroup", "/sys/fs/cgroup/init",
		},
		"our group is not in the mount": {
			strings.Replace(v2Mount, "0:28 / ", "0:28 /docker/abc ", 1), "0::/docker/abcd\n", "/sys/fs/cgroup", 2, "/sys/fs/cgroup", "",
		},
		"the mount with our group wins": {
			strings.Replace(v2Mount, "0:28 / /sys", "0:28 /docker/abc /elsewhere/sys", 1) + v2Mount, "0::/y\n", "both", 2, "/sys/fs/cgroup", "/sys/fs/cgroup/y",
		},
	} {
		files := map[string]string{"proc/self/mountinfo": c.mounts, "proc/self/cgroup": c.groups}
		switch c.controllers {
		case "":
		case "both":
			files["elsewhere/sys/fs/cgroup/cgroup.controllers"] = "memory\n"
			files["sys/fs/cgroup/cgroup.controllers"] = "memory\n"
		default:
			files[c.controllers+"/cgroup.controllers"] = "cpuset cpu io memory pids\n"
		}
		tr := fixture(t, files)
		h, err := tr.find()
		own := h.own
		if own != "" {
			own = strings.TrimPrefix(own, tr.root)
		}
		if err != nil || h.version != c.version || h.mount != tr.root+c.mount || own != c.own {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func TestMissing(t *testing.T) {
	for name, c := range map[string]struct{ mounts, cgroups, want string }{
		"switched off":     {v2Mount, "cpu\t0\t9\t1\nmemory\t0\t1\t0\n", "cgroup_enable=memory"},
		"not mounted":      {"", "memory\t0\t1\t1\n", "mount -t cgroup2"},
		"not delegated":    {v2Mount, "memory\t0\t9\t1\n", "delegated"},
		"not listed":       {v2Mount, "", "delegated"},
		"not in the build": {"", "cpu\t0\t9\t1\n", "CONFIG_MEMCG"},
	} {
		tr := fixture(t, map[string]string{"proc/self/mountinfo": c.mounts, "proc/self/cgroup": "0::/\n", "proc/cgroups": c.cgroups, "sys/fs/cgroup/cgroup.controllers": "cpu\n"})
		_, err := tr.create("x", 64<<20, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "no memory cgroup: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	tr := fixture(t, map[string]string{"proc/self/mountinfo": v1Mounts, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/zswapd-a/": "", "sys/fs/cgroup/memory/other/": ""})
	for _, name := range []string{"", "a/b", "..", "a b", "self", strings.Repeat("x", 300)} {
		if g, err := tr.create(name, 64<<20, nil); err == nil && name != ".." {
			t.Errorf("name %q made %s", name, g.Path())
		}
	}
	for _, limit := range []int64{-1, 0, 1000} {
		if _, err := tr.create("x", limit, nil); err == nil || !strings.Contains(err.Error(), "no program starts") {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	mount := tr.path("sys/fs/cgroup/memory")
	for _, dir := range []string{mount, mount + "/other", mount + "/zswapd-a/..", mount + "/../zswapd-b", "/zswapd-c", "", mount + "/" + selfName} {
		if g, err := tr.open(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("open %q: %v, %v", dir, g, err)
		}
	}
	if _, err := tr.open(mount + "/zswapd-gone"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	g, err := tr.open(mount + "/zswapd-a")
	noErr(t, err)
	if g.Version() != 1 || g.Path() != mount+"/zswapd-a" || g.ProcsFile() != g.Path()+"/cgroup.procs" {
		t.Errorf("%+v", g)
	}
}

// TestParents: a delegated group comes before the root, and only then.
func TestParents(t *testing.T) {
	dir := t.TempDir()
	h := hierarchy{version: 2, mount: filepath.Dir(dir), own: dir}
	if p := h.parents(); len(p) != 1 || p[0] != h.mount {
		t.Error(p)
	}
	if err := unix.Setxattr(dir, "user.delegate", []byte("1"), 0); err != nil {
		t.Skip("no extended attributes here: ", err)
	}
	if p := h.parents(); len(p) != 2 || p[0] != dir || p[1] != h.mount {
		t.Error(p)
	}
}

func TestSwapForbidden(t *testing.T) {
	tr := fixture(t, map[string]string{"m/a/memory.swap.max": "0\n", "m/a/b/memory.swap.max": "max\n", "m/c/memory.swap.max": "1024\n"})
	for dir, ok := range map[string]bool{"m": true, "m/a": false, "m/a/b": false, "m/c": true} {
		if err := swapAllowed(tr.path("m"), tr.path(dir)); (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"zswapd-a.b_C-9": true, "zswapd-": false, selfName: false, "zswapd-a/b": false, "zswapd-ü": false} {
		if err := checkName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}
