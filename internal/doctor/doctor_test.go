package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/swapdev"
)

const gib = 1 << 30

// well is a machine with nothing to mend, on which the service runs.
func well() *Facts {
	return &Facts{
		Kernel: "6.12.43+deb13-amd64", RAM: 16 * gib, Available: 9 * gib,
		PageCluster: 0, Swappiness: 150, MinFreeKB: 67584, WatermarkScale: 100, WatermarkBoost: 0, ZswapPercent: 20,
		Swaps: []swapdev.Area{{Name: "/dev/loop3", Size: 32 * gib, Priority: 100}},
		Runs:  []swapdev.Found{{Record: swapdev.Record{PID: 7, Loop: "/dev/loop3"}, Owned: true}},
		Fuse:  true, Loop: true, Ublk: true, Root: true, Caps: 1<<41 - 1, CgroupV2: true, CgroupMemory: true, PSI: true,
		Unit: "Before=systemd-oomd.service earlyoom.service\nManagedOOMPreference=omit\n", Groups: map[string]bool{"zswapd": true},
		Service: &Service{PID: 7, OOMScore: -1000, Locked: 1 << 20},
	}
}

// worst returns what is said of the most serious findings of a check.
func worst(all []Finding, name string) (l Level, text, mend string) {
	order := []Level{OK, Note, Advice, Problem}
	for _, f := range all {
		if f.Check == name && (l == "" || slices.Index(order, f.Level) > slices.Index(order, l)) {
			l, text, mend = f.Level, f.Text, f.Mend
		}
	}
	return l, text, mend
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(f *Facts)
		set    string // of the configuration, separated by spaces
		check  string
		level  Level
		text   string // part of what is said
		mend   string // part of the command
	}{
		{"wrong configuration", func(f *Facts) { f.Config = []string{"f:3: dor = 1: no such key"} }, "", "configuration", Problem, "f:3: dor", "zswapd config check"},
		{"5.10", func(f *Facts) { f.Kernel = "5.10.0-35-amd64" }, "", "kernel", Problem, "older than 5.14", "6.9"},
		{"5.14", func(f *Facts) { f.Kernel = "5.14.0-427.el9" }, "door=fuse", "kernel", Advice, "no tmpfs without swap", "6.9"},
		{"6.1", func(f *Facts) { f.Kernel = "6.1.0-39" }, "door=fuse", "kernel", Advice, "no tmpfs without swap", "6.9"},
		{"6.8", func(f *Facts) { f.Kernel = "6.8.12" }, "door=fuse", "kernel", Advice, "SIGBUS", "6.9"},
		{"6.8, with ublk", func(f *Facts) { f.Kernel = "6.8.12" }, "", "kernel", OK, "6.8.12", ""},
		{"6.1, with ublk", func(f *Facts) { f.Kernel = "6.1.0-39" }, "", "kernel", Problem, "older than 6.5", `door = "fuse"`},
		{"6.4, with ublk", func(f *Facts) { f.Kernel = "6.4.16" }, "door=ublk", "kernel", Problem, `door = "ublk" needs`, "6.5"},
		{"6.9", func(f *Facts) { f.Kernel = "6.9" }, "", "kernel", OK, "6.9", ""},
		{"rc", func(f *Facts) { f.Kernel = "6.19-rc1" }, "", "kernel", OK, "6.19", ""},
		{"no version", func(f *Facts) { f.Kernel = "custom" }, "", "kernel", Note, "not understood", ""},
		{"ublk, before it hangs", func(f *Facts) { f.Kernel, f.Ublk = "6.18.39", true }, "door=ublk", "kernel", OK, "", ""},
		{"ublk hangs", func(f *Facts) { f.Kernel, f.Ublk = "6.18.40", true }, "door=ublk", "kernel", Problem, "hang", `door = "fuse"`},
		{"ublk hangs in 7.0", func(f *Facts) { f.Kernel, f.Ublk = "7.0.3", true }, "door=ublk", "kernel", Problem, "hang", `door = "fuse"`},
		{"ublk in 7.1", func(f *Facts) { f.Kernel, f.Ublk = "7.1.0", true }, "door=ublk", "kernel", OK, "", ""},
		{"ublk may be chosen", func(f *Facts) { f.Kernel, f.Ublk = "7.0.0", true }, "", "kernel", Note, "hang", ""},
		{"ublk cannot be chosen", func(f *Facts) { f.Kernel, f.Ublk = "7.0.0", false }, "door=fuse", "kernel", OK, "", ""},
		{"a user", func(f *Facts) { f.Root = false }, "", "privileges", Problem, "not root", "sudo zswapd doctor"},
		{"a rootless container", func(f *Facts) { f.UserNamespace, f.MemlockInf = true, true }, "", "privileges", Problem, "user namespace", "not rootless"},
		{"locked memory in one", func(f *Facts) { f.UserNamespace = true }, "", "memlock", Problem, "limited", "LimitMEMLOCK"},
		{"a container", func(f *Facts) { f.Caps &^= 1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_SYS_NICE }, "", "privileges", Problem, "CAP_SYS_RESOURCE, CAP_SYS_NICE", "--cap-add SYS_RESOURCE --cap-add SYS_NICE"},
		{"locked memory", func(f *Facts) { f.Caps &^= 1 << unix.CAP_IPC_LOCK }, "", "memlock", Problem, "limited", "LimitMEMLOCK=infinity"},
		{"no limit", func(f *Facts) { f.Caps, f.MemlockInf = f.Caps&^(1<<unix.CAP_IPC_LOCK), true }, "", "memlock", OK, "no limit", ""},
		{"no fuse", func(f *Facts) { f.Fuse = false }, "door=fuse", "doors", Problem, "device of fuse", "modprobe -a fuse;"},
		{"no fuse, no loop", func(f *Facts) { f.Fuse, f.Loop = false, false }, "door=fuse", "doors", Problem, "fuse and loop", "modprobe -a fuse loop"},
		{"fuse", func(f *Facts) { f.Ublk = false }, "door=fuse", "doors", Note, "cgroup limits", ""},
		{"ublk alone", func(f *Facts) { f.Fuse = false }, "", "doors", OK, "ublk", ""},
		{"no ublk", func(f *Facts) { f.Ublk = false }, "door=ublk", "doors", Problem, "ublk-control", "modprobe ublk_drv"},
		{"no ublk, auto", func(f *Facts) { f.Ublk = false }, "", "doors", Problem, `door = "auto"`, `door = "fuse"`},
		{"no service", func(f *Facts) { f.Service = nil }, "", "service", Note, "not running", ""},
		{"score", func(f *Facts) { f.Service.OOMScore = 0 }, "", "service", Problem, "oom_score_adj 0", "systemctl restart"},
		{"not locked", func(f *Facts) { f.Service.Locked = 0 }, "", "service", Problem, "not locked", "LimitMEMLOCK"},
		{"swapped", func(f *Facts) { f.Service.Swapped = 1 << 20 }, "", "service", Problem, "swapped out", "restart"},
		{"no group", func(f *Facts) {}, "control.group=staff", "group", Problem, "staff", "groupadd --system staff"},
		{"a group", func(f *Facts) {}, "control.group=zswapd", "group", OK, "zswapd", ""},
		{"a group by its number", func(f *Facts) {}, "control.group='4711'", "group", OK, "group 4711", ""},
		{"zswap", func(f *Facts) { f.Zswap = true }, "", "zswap", Problem, "compressed again", "echo N >"},
		{"behind zswap, which is off", func(f *Facts) {}, "swap.behind_zswap=true", "zswap", Advice, "is off", "echo Y > /sys/module/zswap/parameters/enabled"},
		{"behind zswap without shrinker", func(f *Facts) { f.Zswap = true }, "swap.behind_zswap=true", "zswap", Advice, "shrinker", "shrinker_enabled"},
		{"behind a large zswap", func(f *Facts) { f.Zswap, f.ZswapShrinker, f.ZswapPercent = true, true, 30 }, "swap.behind_zswap=true", "zswap", Advice, "60 %", "max_pool_percent"},
		{"behind zswap", func(f *Facts) { f.Zswap, f.ZswapShrinker = true, true }, "swap.behind_zswap=true", "zswap", OK, "", ""},
		{"zram", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/dev/zram0", Priority: 5}) }, "", "swap", Problem, "second compressed pool", "swapoff /dev/zram0"},
		{"higher", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/my swap", Priority: 101}) }, "", "swap", Problem, "before ours, 100", "swapoff '/my swap' && swapon '/my swap'"},
		{"equal", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/dev/sda2", Priority: 100}) }, "", "swap", Problem, "every other page", "swapoff /dev/sda2"},
		{"lower", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/dev/sda2", Priority: -2}) }, "", "swap", Note, "what does not fit", ""},
		{"higher than what is to come", func(f *Facts) {
			f.Runs, f.Service, f.Swaps = nil, nil, []swapdev.Area{{Name: "/dev/sda2", Priority: 11}}
		}, "swap.priority=10", "swap", Problem, "before ours, 10", "swapoff"},
		{"another priority later", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/dev/sda2", Priority: 50}) }, "swap.priority=5", "swap", Note, "what does not fit", ""},
		{"a dead one's", func(f *Facts) { f.Runs[0].Owned = false }, "", "swap", Problem, "/dev/loop3, priority 100, is on and nobody serves it", "zswapd run -- true"},
		{"ublk", func(f *Facts) {
			f.Swaps[0].Name, f.Runs[0].Record = "/dev/ublkb0", swapdev.Record{PID: 7, UBLK: "/dev/ublkb0"}
		}, "", "swap", OK, "ours", ""},
		{"a dead one's ublk", func(f *Facts) {
			f.Swaps[0].Name, f.Runs[0] = "/dev/ublkb0", swapdev.Found{Record: swapdev.Record{PID: 7, UBLK: "/dev/ublkb0"}}
		}, "", "swap", Problem, "/dev/ublkb0, priority 100, is on and nobody serves it", "zswapd run -- true"},
		{"somebody's ublk", func(f *Facts) { f.Swaps = append(f.Swaps, swapdev.Area{Name: "/dev/ublkb1", Priority: 101}) }, "", "swap", Problem, "/dev/ublkb1, priority 101, is filled before ours", "swapoff /dev/ublkb1"},
		{"ublk, without a record to read", func(f *Facts) {
			f.Swaps[0].Name, f.Runs, f.RunsProblem = "/dev/ublkb0", nil, "permission denied"
		}, "", "swap", OK, "ours", ""},
		{"loop, without a record to read", func(f *Facts) { f.Runs, f.RunsProblem = nil, "permission denied" }, "", "swap", OK, "/dev/loop3 is ours", ""},
		{"no swap", func(f *Facts) { f.Swaps = nil }, "", "swap", OK, "no other", ""},
		{"page-cluster", func(f *Facts) { f.PageCluster = 3 }, "", "sysctl", Advice, "2^3 pages", "sysctl -w vm.page-cluster=0"},
		{"swappiness", func(f *Facts) { f.Swappiness = 60 }, "", "sysctl", Advice, "60 says", "sysctl -w vm.swappiness=150"},
		{"swappiness while the pool is full", func(f *Facts) {
			f.Swappiness, f.Runs[0].Record.Swappiness = 0, swapdev.Sysctl{Before: "150", Set: "0"}
		}, "", "sysctl", Note, "set it back to 150", ""},
		{"swappiness, a dead one's", func(f *Facts) {
			f.Swappiness, f.Runs[0].Record.Swappiness, f.Runs[0].Owned, f.Swaps = 0, swapdev.Sysctl{Before: "150", Set: "0"}, false, nil
		}, "", "sysctl", Advice, "0 says", "sysctl -w vm.swappiness=150"},
		{"swappiness that somebody has set", func(f *Facts) {
			f.Swappiness, f.Runs[0].Record.Swappiness = 0, swapdev.Sysctl{Before: "0", Set: "0"}
		}, "", "sysctl", Advice, "0 says", "sysctl -w vm.swappiness=150"},
		{"min_free", func(f *Facts) { f.MinFreeKB = 8192 }, "", "sysctl", Advice, "8192 KiB", "sysctl -w vm.min_free_kbytes=16384"},
		{"min_free of a tiny machine", func(f *Facts) { f.MinFreeKB, f.RAM = 4096, 128<<20 }, "", "sysctl", OK, "", ""},
		{"boost", func(f *Facts) { f.WatermarkBoost = 15000 }, "", "sysctl", Advice, "15000", "vm.watermark_boost_factor=0"},
		{"scale", func(f *Facts) { f.WatermarkScale = 10 }, "", "sysctl", Advice, "10/10000", "vm.watermark_scale_factor=100"},
		{"unreadable", func(f *Facts) { f.Swappiness = Unknown }, "", "sysctl", Note, "cannot be read", ""},
		{"no room", func(f *Facts) { f.Service, f.Available = nil, 90<<20 }, "", "room", Problem, "90 MiB", "swap.size"},
		{"huge pages", func(f *Facts) { f.HugePages = 7 * gib }, "", "room", Advice, "three quarters", "nr_hugepages"},
		{"open folder", func(f *Facts) { f.StateOpen = true }, "", "leftovers", Problem, "others than root", "chmod go-w"},
		{"left", func(f *Facts) { f.Runs[0].Owned = false }, "", "leftovers", Advice, "process 7 is dead and has left /dev/loop3", "zswapd run -- true"},
		{"left, ublk", func(f *Facts) {
			f.Swaps, f.Runs = nil, append(f.Runs, swapdev.Found{Record: swapdev.Record{PID: 8, UBLK: "/dev/ublkb2"}})
		}, "", "leftovers", Advice, "process 8 is dead and has left /dev/ublkb2", "zswapd run -- true"},
		{"unread", func(f *Facts) { f.RunsProblem = "x" }, "", "leftovers", Note, "x", ""},
		{"earlyoom", func(f *Facts) { f.OOM = []string{"earlyoom"} }, "", "oomd", OK, "earlyoom", ""},
		{"oomd", func(f *Facts) { f.OOM = []string{"systemd-oomd"} }, "", "oomd", OK, "ordered", ""},
		{"oomd, no unit", func(f *Facts) { f.OOM, f.Unit = []string{"systemd-oomd"}, "" }, "", "oomd", Advice, "not installed", "systemctl enable"},
		{"oomd, no order", func(f *Facts) {
			f.OOM, f.Unit = []string{"systemd-oomd"}, "ManagedOOMPreference=omit\n#Before=systemd-oomd.service"
		}, "", "oomd", Advice, "before there is swap", "Before="},
		{"oomd, a choice", func(f *Facts) { f.OOM, f.Unit = []string{"systemd-oomd"}, "Before=systemd-oomd.service\n" }, "", "oomd", Problem, "may choose", "ManagedOOMPreference"},
		{"oomd, a choice that is commented", func(f *Facts) {
			f.OOM, f.Unit = []string{"systemd-oomd"}, "Before=systemd-oomd.service\n#ManagedOOMPreference=omit\n"
		}, "", "oomd", Problem, "may choose", "ManagedOOMPreference"},
		{"oomd, a choice in a drop-in", func(f *Facts) { f.OOM, f.Unit = []string{"systemd-oomd"}, f.Unit+"ManagedOOMPreference=none\n" }, "", "oomd", Problem, "may choose", ""},
		{"version 1", func(f *Facts) { f.CgroupV2 = false }, "", "cgroup", Advice, "MemoryMin=", "unified"},
		{"version 2 without memory", func(f *Facts) { f.CgroupMemory = false }, "", "cgroup", Advice, "MemoryMin=", "cgroup_enable=memory"},
		{"no psi", func(f *Facts) { f.PSI = false }, "", "psi", Note, "psi=1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := well()
			test.change(f)
			c, err := config.Load("", 16*gib)
			if err == nil && test.set != "" {
				c, err = c.With("--set", strings.Fields(test.set)...)
			}
			if err != nil {
				t.Fatal(err)
			}
			all := Check(f, c)
			level, text, mend := worst(all, test.check)
			if level != test.level || !strings.Contains(text, test.text) || !strings.Contains(mend, test.mend) {
				t.Errorf("%s %s: %s\n→ %s", test.check, level, text, mend)
			}
			for _, f := range all {
				if (f.Level == Advice || f.Level == Problem) && f.Mend == "" || strings.Contains(f.Text+f.Mend, "%!") || strings.HasSuffix(f.Text, ".") {
					t.Errorf("%+v", f)
				}
			}
			if Well(all) != (level == OK || level == Note) && !strings.HasPrefix(test.name, "a dead one's") {
				t.Errorf("%s, and well: %v", level, Well(all))
			}
		})
	}
}

func TestWell(t *testing.T) {
	c, err := config.Load("", 16*gib)
	if err != nil {
		t.Fatal(err)
	}
	all := Check(well(), c)
	if !Well(all) {
		t.Errorf("%+v", all)
	}
	var b strings.Builder
	if err := WriteText(&b, all); err != nil || !strings.HasSuffix(b.String(), "\nall is well\n") {
		t.Errorf("%v: %s", err, b.String())
	}
	seen := map[string]bool{}
	for _, f := range all {
		seen[f.Check] = true
	}
	if len(seen) != len(checks) {
		t.Errorf("%d of %d checks say something: %v", len(seen), len(checks), seen)
	}
}

// What the installed settings are, the doctor is content with, and so it is with its own advice.
func TestSysctlFileIsWell(t *testing.T) {
	text, err := os.ReadFile("../../systemd/sysctl.d/60-zswapd.conf")
	if err != nil {
		t.Fatal(err)
	}
	installed := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && !strings.HasPrefix(line, "#") {
			if installed[strings.TrimPrefix(key, "vm.")], err = strconv.Atoi(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range sysctls {
		if !s.well(well(), s.set) {
			t.Errorf("vm.%s: the advice, %d, is not well", s.name, s.set)
		}
		if v, ok := installed[s.name]; ok != (s.name != "min_free_kbytes") || ok && v != s.set {
			t.Errorf("vm.%s: %d is installed (%v), the advice is %d", s.name, v, ok, s.set)
		}
	}
}

func TestWriteText(t *testing.T) {
	var b strings.Builder
	all := []Finding{{"b", Problem, "bad", "mend it"}, {"a", OK, "good", ""}, {"c", Advice, "so so", "better"}, {"d", Note, "hm", ""}}
	const want = `ok       a             good
note     d             hm
advice   c             so so
                       → better
problem  b             bad
                       → mend it
to mend: 1; to consider: 1
`
	if err := WriteText(&b, all); err != nil || b.String() != want {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

// fake makes a root with the files of a machine.
func fake(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCollect(t *testing.T) {
	const dead = `{"version":2,"id":"00000000000000aa","tag":"zswapd:00000000000000aa","pid":9,"loop":"/dev/loop9"}`
	root := fake(t, map[string]string{
		"proc/sys/kernel/osrelease":                    "6.12.1\n",
		"proc/meminfo":                                 "MemTotal:       16384 kB\nMemAvailable:    8192 kB\nHugetlb:         2048 kB\n",
		"proc/sys/vm/page-cluster":                     "3\n",
		"proc/sys/vm/swappiness":                       "60\n",
		"proc/sys/vm/min_free_kbytes":                  "67584\n",
		"proc/swaps":                                   "Filename Type Size Used Priority\n/dev/zram0 partition 1024 0 100\n",
		"proc/pressure/memory":                         "some avg10=0.00\n",
		"proc/self/status":                             "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
		"proc/self/limits":                             "Limit                     Soft Limit           Hard Limit           Units     \nMax locked memory         unlimited            unlimited            bytes     \n",
		"proc/self/uid_map":                            "         0       1000          1\n",
		"proc/41/comm":                                 "systemd-oomd\n",
		"proc/42/cmdline":                              "@zswapd\x00serve\x00--config\x00/etc/zswapd/zswapd.toml\x00",
		"proc/42/status":                               "VmLck:\t  1024 kB\nVmSwap:\t 4 kB\n",
		"proc/42/oom_score_adj":                        "-1000\n",
		"proc/142/cmdline":                             "@zswapd\x00serve\x00--config\x00/etc/zswapd/zswapd.toml\x00", // the standby
		"proc/50/cmdline":                              "@zswapd\x00serve\x00--keeper\x00",
		"proc/43/cmdline":                              "zswapd\x00run\x00",
		"sys/module/zswap/parameters/enabled":          "Y\n",
		"sys/module/zswap/parameters/max_pool_percent": "20\n",
		"sys/fs/cgroup/cgroup.controllers":             "cpu memory pids\n",
		"dev/fuse":                                     "",
		"dev/ublk-control":                             "",
		"usr/lib/systemd/system/zswapd.service":        "[Unit]\n",
		"etc/group":                                    "root:x:0:\nzswapd:x:99:\n",
		"run/zswapd/00000000000000aa.json":             dead,
	})
	if err := os.Chmod(filepath.Join(root, "run/zswapd"), 0o777); err != nil {
		t.Fatal(err)
	}
	got := *Collect(root)
	service, groups := *got.Service, got.Groups
	got.Service, got.Groups = nil, nil
	want := Facts{
		Kernel: "6.12.1", RAM: 16 << 20, Available: 8 << 20, HugePages: 2 << 20,
		PageCluster: 3, Swappiness: 60, MinFreeKB: 67584, WatermarkScale: Unknown, WatermarkBoost: Unknown,
		Zswap: true, ZswapPercent: 20, Swaps: []swapdev.Area{{Name: "/dev/zram0", Size: 1 << 20, Priority: 100}},
		Runs:      []swapdev.Found{{Record: swapdev.Record{Version: 2, ID: "00000000000000aa", Tag: "zswapd:00000000000000aa", PID: 9, Loop: "/dev/loop9"}}},
		StateOpen: true, Fuse: true, Ublk: true, Root: true, Caps: 0x1ffffffffff, MemlockInf: true, UserNamespace: true, CgroupV2: true, CgroupMemory: true, PSI: true,
		OOM: []string{"systemd-oomd"}, Unit: "[Unit]",
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if service != (Service{PID: 42, OOMScore: -1000, Locked: 1 << 20, Swapped: 4096}) || !groups["zswapd"] || groups["staff"] {
		t.Errorf("%+v, %v", service, groups)
	}
}

// TestCollectDropIns: what systemctl edit writes, as the doctor advises, is seen.
func TestCollectDropIns(t *testing.T) {
	unit := "usr/lib/systemd/system/zswapd.service"
	root := fake(t, map[string]string{
		unit:                      "[Unit]\nBefore=swap.target\n",
		unit + ".d/20-b.conf":     "[Service]\nManagedOOMPreference=none\n",
		unit + ".d/override.conf": "no\n",
		unit + ".d/.30-c.conf":    "no\n",
		"proc/41/comm":            "systemd-oomd\n",
		"etc/systemd/system/zswapd.service.d/override.conf": "[Unit]\nBefore=systemd-oomd.service\n[Service]\nManagedOOMPreference=omit\n",
	})
	f := Collect(root)
	if l := checkOOM(f, nil)[0]; l.Level != OK || strings.Contains(f.Unit, "no\n") {
		t.Errorf("%+v, unit:\n%s", l, f.Unit)
	}
}

// An empty root is a machine that tells nothing: no panic, and nothing is well by mistake.
func TestCollectNothing(t *testing.T) {
	f := Collect(t.TempDir())
	c, err := config.Load("", gib)
	if err != nil {
		t.Fatal(err)
	}
	all := Check(f, c)
	for _, name := range []string{"privileges", "memlock", "doors", "room", "swap"} {
		if l, text, _ := worst(all, name); l != Problem {
			t.Errorf("%s: %s %s", name, l, text)
		}
	}
}

// TestThisMachine: what the files of a real kernel say is understood.
func TestThisMachine(t *testing.T) {
	f := Collect("/")
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	if _, ok := parseVersion(f.Kernel); !ok || f.Kernel != unix.ByteSliceToString(u.Release[:]) {
		t.Errorf("kernel %q", f.Kernel)
	}
	var rlimit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &rlimit); err != nil {
		t.Fatal(err)
	}
	if f.RAM < 64<<20 || f.Available <= 0 || f.Available > f.RAM || f.Root != (os.Geteuid() == 0) || f.MemlockInf != (rlimit.Cur == unix.RLIM_INFINITY) || !f.Groups["root"] {
		t.Errorf("%+v", f)
	}
	for _, v := range []int{f.PageCluster, f.Swappiness, f.MinFreeKB, f.WatermarkScale, f.WatermarkBoost} {
		if v == Unknown {
			t.Errorf("%+v", f)
		}
	}
	if _, err := os.Stat("/dev/fuse"); f.Fuse != (err == nil) {
		t.Errorf("fuse: %v", err)
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"6.18.44-fc", "5.14", "6.19-rc1", "7", "", "6..1", "9999999999999999999.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := parseVersion(s); ok && (v[0] < 0 || v[1] < 0 || v[2] < 0 || v.before(v)) {
			t.Fatalf("%q: %v", s, v)
		}
	})
}
