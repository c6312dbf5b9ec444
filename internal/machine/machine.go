package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what can be found out about where we run. Fields are added, none is removed or renamed. What the system does
// not tell is empty or 0.
type Machine struct {
	Kernel      string  `json:"kernel"` // uname -r
	CPU         string  `json:"cpu"`    // model name
	CPUs        int     `json:"cpus"`   // that we may use
	MemoryBytes int64   `json:"memory_bytes"`
	Virtual     bool    `json:"virtual"`      // a virtual machine: the CPU says so
	Governor    string  `json:"governor"`     // of CPU 0's frequency
	HugePages   string  `json:"huge_pages"`   // transparent ones: always, madvise, never
	PageCluster int     `json:"page_cluster"` // vm.page-cluster: 2^n pages are read at a fault
	Swappiness  int     `json:"swappiness"`
	Zswap       bool    `json:"zswap"` // the kernel's own is on
	Load        float64 `json:"load"`  // of the last minute, when Describe was called
	Go          string  `json:"go"`
}

// Describe looks at the machine.
func Describe() (m Machine) {
	m.CPUs, m.Go = runtime.NumCPU(), runtime.Version()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.MemoryBytes = int64(s.Totalram) * int64(s.Unit)
		m.Load = float64(s.Loads[0]) / (1 << 16)
	}
	m.CPU, m.Virtual = parseCPU(read("/proc/cpuinfo"))
	m.Governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	m.HugePages = chosen(read("/sys/kernel/mm/transparent_hugepage/enabled"))
	m.PageCluster, _ = strconv.Atoi(read("/proc/sys/vm/page-cluster"))
	m.Swappiness, _ = strconv.Atoi(read("/proc/sys/vm/swappiness"))
	m.Zswap = read("/sys/module/zswap/parameters/enabled") == "Y"
	return m
}

func read(path string) string {
	b, _ := os.ReadFile(filepath.Clean(path))
	return strings.TrimSpace(string(b))
}

// parseCPU returns the name of the first CPU, and whether it says that a hypervisor is below it.
func parseCPU(cpuinfo string) (model string, virtual bool) {
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			if model == "" {
				model = strings.TrimSpace(value)
			}
		case "flags":
			virtual = virtual || slices.Contains(strings.Fields(value), "hypervisor")
		}
	}
	return model, virtual
}

// chosen returns the word in brackets.
func chosen(choices string) string {
	_, rest, _ := strings.Cut(choices, "[")
	word, _, _ := strings.Cut(rest, "]")
	return word
}

func (m Machine) String() string {
	kind := ""
	if m.Virtual {
		kind = " (virtual)"
	}
	return fmt.Sprintf("%d × %s%s, %.1f GiB, Linux %s, page-cluster %d, swappiness %d, huge pages %s, %s, load %.1f",
		m.CPUs, m.CPU, kind, float64(m.MemoryBytes)/(1<<30), m.Kernel, m.PageCluster, m.Swappiness, m.HugePages, m.Go, m.Load)
}
