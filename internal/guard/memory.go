package guard

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const capIPCLock = 14 // bit of CapEff

const needLock = "run it as root with CAP_IPC_LOCK, or with LimitMEMLOCK=infinity in the unit (ulimit -l unlimited)"

// lockMemory locks what is mapped now and later, each page when it is first used.
func lockMemory() Step {
	failed := Step{Name: MemoryLock, Remedy: needLock}
	raiseMemlock()
	// With a finite limit the call may work now; a later mapping would then fail, and the Go runtime stop.
	if !lockUnlimited() {
		failed.Detail = "the limit of locked memory is finite"
		return failed
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		failed.Detail = fmt.Sprintf("mlockall: %v", err)
		return failed
	}
	return checkMemoryLock()
}

// raiseMemlock asks for no limit at all, then for as much as is allowed.
func raiseMemlock() {
	infinite := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &infinite) == nil {
		return
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) == nil {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &r)
	}
}

func lockUnlimited() bool {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r); err == nil && r.Cur == unix.RLIM_INFINITY {
		return true
	}
	caps, err := strconv.ParseUint(status("CapEff"), 16, 64)
	return err == nil && caps>>capIPCLock&1 == 1
}

func checkMemoryLock() Step {
	s := Step{Name: MemoryLock, Remedy: needLock}
	locked, _, _ := strings.Cut(status("VmLck"), " ") // "123 kB": mappings, not pages in memory
	kib, err := strconv.ParseUint(locked, 10, 54)
	loose, err2 := unlockedBytes()
	switch {
	case err != nil || kib == 0:
		s.Detail = "nothing is locked"
	case err2 != nil:
		s.Detail, s.Remedy = err2.Error(), "mount /proc"
	case loose > 0:
		s.Detail, s.Remedy = fmt.Sprintf("%d KiB of private memory are not locked", loose>>10), "a bug: report it"
	default:
		s.OK, s.Remedy, s.Detail = true, "", fmt.Sprintf("%d MiB of mappings are locked on use", kib>>10)
	}
	return s
}

// status returns one value of /proc/self/status, or "".
func status(key string) string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// unlockedBytes adds up the anonymous memory of mappings without the "lo" flag: what could be swapped out.
func unlockedBytes() (uint64, error) {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	return parseUnlocked(string(text)), nil
}

func parseUnlocked(smaps string) (loose uint64) {
	var anonymous uint64 // of the mapping that we are in; VmFlags is its last line
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 2 && f[0] == "Anonymous:":
			kib, _ := strconv.ParseUint(f[1], 10, 54)
			anonymous = kib << 10
		case len(f) >= 1 && f[0] == "VmFlags:":
			if !slices.Contains(f, "lo") {
				loose += anonymous
			}
			anonymous = 0
		}
	}
	return loose
}
