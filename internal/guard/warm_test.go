package guard

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// childWarm counts the page faults of work that the program has not done before: 4 MiB of new heap, goroutines with deep
// stacks, waits in the kernel that take threads, code that has not run.
func childWarm() {
	if os.Getenv("ZSWAPD_TEST_COLD") == "" {
		if err := Warm(8 << 20); err != nil {
			fmt.Println("error", err)
			return
		}
	}
	before := faults()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			pause := unix.Timespec{Nsec: 5e6}
			_ = unix.Nanosleep(&pause, nil)
			descend(100)
		})
	}
	all.Wait()
	memory := make([][]byte, 1024)
	for i := range memory {
		memory[i] = make([]byte, 4096)
		memory[i][17] = 1
	}
	text := fmt.Sprintf("%v %q %x", memory[3][:20], os.Args, before)
	fmt.Println("faults", faults()-before, len(text) > 0)
	runtime.KeepAlive(memory)
}

//go:noinline
func descend(n int) int {
	var frame [256]byte
	if n == 0 {
		return len(frame)
	}
	frame[n] = byte(n)
	return descend(n-1) + int(frame[n])
}

func faults() int64 {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use)
	return use.Minflt + use.Majflt
}

// After Warm the program takes next to no page fault for what it takes more than a thousand for without.
func TestWarm(t *testing.T) {
	run := func(env ...string) (n int64) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(append(os.Environ(), childMode+"=warm"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := fmt.Sscanf(string(out), "faults %d", &n); err != nil || strings.HasPrefix(string(out), "error") {
			t.Fatalf("%v: %s", err, out)
		}
		return n
	}
	warm, cold := run(), run("ZSWAPD_TEST_COLD=1")
	t.Logf("%d page faults after Warm, %d without", warm, cold)
	if cold-warm < 1000 { // the 4 MiB, at least
		t.Errorf("%d page faults after Warm, %d without", warm, cold)
	}
}

// What the runtime allocates for good, such as what it learns when a type is first asked for an interface, comes in pieces of 256
// KiB, which the kernel joins to mappings of some MiB. In a server that was refused its first page such a piece was missing:
// errors.Is asked, and the thread that served waited for a page that waited for it. Tables that are all but empty stay out.
func TestWanted(t *testing.T) {
	const heap = 0xc000100000
	for _, c := range []struct {
		start, size uintptr
		perms, path string
		want        bool
	}{
		{0x7f0000000000, 640 << 10, "rw-p", "", true}, {0x7f0000000000, 3 << 20, "rw-p", "", true},
		{0x7f0000000000, 32 << 20, "rw-p", "", false}, {0x7f0000000000, 32 << 20, "r-xp", "/bin/a", true},
		{0xc000000000, 64 << 20, "rw-p", "", true}, {0x7f0000000000, 4096, "---p", "", false}, {0x7f0000000000, 4096, "rw-s", "/memfd:a", false},
	} {
		m := mapping{start: c.start, end: c.start + c.size, perms: c.perms, path: c.path}
		if got := m.wanted(heap); got != c.want {
			t.Errorf("%+v: %t", m, got)
		}
	}
}

func TestParseMapping(t *testing.T) {
	for line, want := range map[string]mapping{
		"c000000000-c000400000 rw-p 00000000 00:00 0 ":                            {start: 0xc000000000, end: 0xc000400000, perms: "rw-p"},
		"00400000-006b1000 r-xp 00000000 fe:00 1049107                  /bin/a b": {start: 0x400000, end: 0x6b1000, perms: "r-xp", path: "/bin/a"},
		"7ffc8a5e4000-7ffc8a605000 rw-p 00000000 00:00 0                [stack]":  {start: 0x7ffc8a5e4000, end: 0x7ffc8a605000, perms: "rw-p", path: "[stack]"},
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 2 /memfd:zswapd (deleted)": {start: 0x7f0000000000, end: 0x7f0000001000, perms: "rw-s", path: "/memfd:zswapd"},
	} {
		if m, ok := parseMapping(line); !ok || m != want {
			t.Errorf("%q: %+v, %t", line, m, ok)
		}
	}
	for _, line := range []string{"", "a-b", "zz-10 rw-p 0 0 0", "10-20 rw 0 0 0"} {
		if m, ok := parseMapping(line); ok {
			t.Errorf("%q: %+v", line, m)
		}
	}
}
