package doctor

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zswapd/zswapd/internal/swapdev"
)

// Collect looks at a machine below root: "/" for this one.
func Collect(root string) *Facts {
	t := tree(root)
	mem := t.table("proc/meminfo")
	status := t.table("proc/self/status")
	f := &Facts{
		Kernel: t.read("proc/sys/kernel/osrelease"),
		RAM:    kib(mem["MemTotal"]), Available: kib(mem["MemAvailable"]), HugePages: kib(mem["Hugetlb"]),
		PageCluster: t.number("proc/sys/vm/page-cluster"), Swappiness: t.number("proc/sys/vm/swappiness"), MinFreeKB: t.number("proc/sys/vm/min_free_kbytes"),
		WatermarkScale: t.number("proc/sys/vm/watermark_scale_factor"), WatermarkBoost: t.number("proc/sys/vm/watermark_boost_factor"),
		Zswap: t.read("sys/module/zswap/parameters/enabled") == "Y", ZswapShrinker: t.read("sys/module/zswap/parameters/shrinker_enabled") == "Y",
		ZswapPercent: t.number("sys/module/zswap/parameters/max_pool_percent"),
		Fuse:         t.has("dev/fuse"), Loop: t.has("dev/loop-control"), Ublk: t.has("dev/ublk-control"),
		CgroupV2: t.has("sys/fs/cgroup/cgroup.controllers"), PSI: t.read("proc/pressure/memory") != "",
		Groups: map[string]bool{},
	}
	f.CgroupMemory = slices.Contains(strings.Fields(t.read("sys/fs/cgroup/cgroup.controllers")), "memory")
	var err error
	if f.Swaps, err = swapdev.Areas(t.path("proc/swaps")); err != nil {
		f.SwapsProblem = err.Error()
	}
	f.Caps, _ = strconv.ParseUint(status["CapEff"], 16, 64)
	if uids := strings.Fields(status["Uid"]); len(uids) > 1 {
		f.Root = uids[1] == "0"
	}
	// All users of the machine are in its own namespace, under their own numbers.
	users := strings.Fields(t.read("proc/self/uid_map"))
	f.UserNamespace = len(users) > 0 && !slices.Equal(users, []string{"0", "0", "4294967295"})
	f.MemlockInf = t.memlock()
	t.state(f)
	t.processes(f)
	f.Unit = t.unit()
	for line := range strings.Lines(t.read("etc/group")) {
		name, _, _ := strings.Cut(line, ":")
		f.Groups[name] = true
	}
	return f
}

// tree is the root of a file system.
type tree string

func (t tree) path(name string) string { return filepath.Join(string(t), name) }

func (t tree) has(name string) bool { _, err := os.Stat(t.path(name)); return err == nil }

// read returns a file's text without the white space around it, or "".
func (t tree) read(name string) string {
	text, _ := os.ReadFile(t.path(name))
	return strings.TrimSpace(string(text))
}

func (t tree) number(name string) int {
	n, err := strconv.Atoi(t.read(name))
	if err != nil {
		return Unknown
	}
	return n
}

// table reads lines of "key: value".
func (t tree) table(name string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(t.read(name)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			m[key] = strings.TrimSpace(value)
		}
	}
	return m
}

// kib reads "123 kB", in bytes.
func kib(s string) int64 {
	digits, _, _ := strings.Cut(s, " ")
	n, _ := strconv.ParseUint(digits, 10, 52)
	return int64(n) << 10
}

// unit returns the text of our unit with that of its drop-ins behind it, in the order in which systemd reads them: by their names, and
// of one name that of the first folder. "": it is not installed.
func (t tree) unit() (text string) {
	dropIns := map[string]string{} // by the name of the file
	for _, dir := range []string{"etc", "run", "usr/local/lib", "usr/lib", "lib"} {
		path := dir + "/systemd/system/zswapd.service"
		text = cmp.Or(text, t.read(path))
		entries, _ := os.ReadDir(t.path(path + ".d"))
		for _, e := range entries {
			if _, ok := dropIns[e.Name()]; !ok && filepath.Ext(e.Name()) == ".conf" && !strings.HasPrefix(e.Name(), ".") {
				dropIns[e.Name()] = t.read(path + ".d/" + e.Name())
			}
		}
	}
	if text == "" {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		text += "\n" + dropIns[name]
	}
	return text
}

// memlock reports whether locked memory has no limit: the columns of limits are as wide as their head says.
func (t tree) memlock() bool {
	for line := range strings.Lines(t.read("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max locked memory"); ok {
			f := strings.Fields(rest)
			return len(f) > 0 && f[0] == "unlimited"
		}
	}
	return false
}

// state looks at the folder of records.
func (t tree) state(f *Facts) {
	dir := t.path(swapdev.DefaultDir)
	var err error
	if f.Runs, err = swapdev.Records(dir); err != nil {
		f.RunsProblem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if info, err := os.Stat(dir); err == nil {
		f.StateOpen = info.Mode().Perm()&0o022 != 0
	}
}

var oomDaemons = []string{"systemd-oomd", "earlyoom", "nohang", "oomd"}

// processes looks for the service and for those that end programs.
func (t tree) processes(f *Facts) {
	entries, _ := os.ReadDir(t.path("proc"))
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("proc", e.Name())
		if comm := t.read(dir + "/comm"); slices.Contains(oomDaemons, comm) && !slices.Contains(f.OOM, comm) {
			f.OOM = append(f.OOM, comm)
		}
		// The keeper has --keeper; what it keeps is the service, and then a standby, which is younger.
		args := strings.Split(strings.TrimRight(t.read(dir+"/cmdline"), "\x00"), "\x00")
		if len(args) < 2 || !strings.HasSuffix(strings.TrimPrefix(args[0], "@"), "zswapd") || args[1] != "serve" || slices.ContainsFunc(args, isKeeper) {
			continue
		}
		if f.Service != nil && f.Service.PID < pid {
			continue
		}
		status := t.table(dir + "/status")
		f.Service = &Service{PID: pid, OOMScore: t.number(dir + "/oom_score_adj"), Locked: kib(status["VmLck"]), Swapped: kib(status["VmSwap"])}
	}
}

func isKeeper(arg string) bool { return arg == "--keeper" || arg == "--keeper=true" }
