package cgroup

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestProcesses(t *testing.T) {
	const mount = "sys/fs/cgroup/memory/"
	tr := fixture(t, map[string]string{
		"proc/self/mountinfo": v1Mounts, "proc/self/cgroup": "4:memory:/\n",
		mount + "cgroup.procs": "1\n", mount + "a/cgroup.procs": "30\n7\n", mount + "a/b/cgroup.procs": "8\n0\n30\n",
		mount + "no/file": "", mount + "empty/cgroup.procs": "",
	})
	for path, want := range map[string][]int{"/a": {7, 8, 30}, "a": {7, 8, 30}, "a/b/": {8, 30}, "/": {1, 7, 8, 30}, "/empty": nil} {
		if got, err := tr.processes(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", path, got, err, want)
		}
	}
	for _, path := range []string{"/c", "no", "/no/file", "/proc"} {
		if got, err := tr.processes(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if _, err := tr.processes("/a/../a"); err == nil || !strings.Contains(err.Error(), "..") {
		t.Errorf("with ..: %v", err)
	}
}

// A group's folder is found in any hierarchy, not only in the one that has the memory controller.
func TestProcessesOfAnyHierarchy(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	noErr(t, err)
	found := 0
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[2], "cgroup") {
			continue
		}
		found++
		if got, err := Processes(f[1]); err != nil || !slices.Contains(got, os.Getpid()) {
			t.Errorf("%s: %d processes, we are among them: %v; %v", f[1], len(got), slices.Contains(got, os.Getpid()), err)
		}
	}
	if found == 0 {
		t.Skip("no cgroups here")
	}
}
