package guard

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const childMode = "ZSWAPD_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "":
		os.Exit(m.Run())
	case "protect":
		childProtect()
	case "warm":
		childWarm()
	case "undo":
		before, err := ParseBefore(os.Getenv("ZSWAPD_TEST_BEFORE"))
		runtime.LockOSThread()
		if err == nil {
			err = Undo(before)
		}
		fmt.Println("undo", err)
		fmt.Println("now", now())
	}
}

// childProtect takes every step, then does what makes a runtime move memory and threads, and looks again.
func childProtect() {
	steps, before := Protect(Options{KeepAtShutdown: true})
	_, marked := os.LookupEnv(marker)
	fmt.Println("argv", os.Args[0], "marker", marked, "before", before)
	for _, s := range steps {
		fmt.Println("protect", s.OK, s)
	}
	for range 8 {
		done := make(chan bool)
		go func() { runtime.LockOSThread(); close(done); select {} }() // a new thread each
		<-done
	}
	for range 3 {
		memory := make([]byte, 32<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		runtime.KeepAlive(memory)
		memory = nil
		debug.FreeOSMemory() // the runtime maps anew what it cannot discard because it is locked
	}
	for _, s := range Check() {
		fmt.Println("check", s.OK, s)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childMode + "=undo", "ZSWAPD_TEST_BEFORE=" + before.String()}
	out, err := cmd.CombinedOutput()
	fmt.Print(string(out))
	fmt.Println("child", err)
}

func TestProtect(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"=protect")
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	caps, err := strconv.ParseUint(status("CapEff"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	resource, lock := caps>>unix.CAP_SYS_RESOURCE&1 == 1, caps>>unix.CAP_IPC_LOCK&1 == 1
	for name, want := range map[string]bool{IOFlusher: resource, OOMScore: resource, MemoryLock: lock, CoreFilter: true} {
		for _, when := range []string{"protect", "check"} {
			if !strings.Contains(out, fmt.Sprintf("%s %t %s: ", when, want, name)) {
				t.Errorf("want %s %t for %s", when, want, name)
			}
		}
	}
	if resource != strings.Contains(out, "argv @") || !strings.Contains(out, "marker false") {
		t.Error("the second life's name or environment")
	}
	if !strings.Contains(out, "undo <nil>\n") || !strings.Contains(out, "now "+now().String()) {
		t.Errorf("what a command gets back is not what was before, %s", now())
	}
	if !resource && strings.Count(out, needResource) != 4 {
		t.Error("a missing privilege without a remedy")
	}
}

// TestFlagBits measures which bits of a thread's flags the call sets on this kernel.
func TestFlagBits(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	flags := func() uint64 {
		text, err := os.ReadFile("/proc/thread-self/stat")
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseFlags(string(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// Clear it first: using a privilege leaves a flag of its own.
	if err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0); err != nil {
		t.Skip("needs CAP_SYS_RESOURCE: ", err)
	}
	off := flags()
	if err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	on := flags()
	covered := threadFlusher()
	if err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("%#x, with the flag %#x", off, on)
	if on&^off != flagsFlusher || !covered || threadFlusher() {
		t.Errorf("the kernel sets %#x, we look for %#x", on&^off, flagsFlusher)
	}
}

func TestParseFlags(t *testing.T) {
	const line = "7 (a) b (c) S 1 7 7 0 -1 1572928 0 0\n"
	if v, err := parseFlags(line); err != nil || v != 1572928 || v&flagsFlusher != flagsFlusher {
		t.Error(v, err)
	}
	for _, bad := range []string{"", "7 (x", "7 (x) S 1", "7 (x) S 1 7 7 0 -1 flags 0"} {
		if v, err := parseFlags(bad); err == nil {
			t.Errorf("%q: %d", bad, v)
		}
	}
}

func TestParseUnlocked(t *testing.T) {
	const smaps = `c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:           100 kB
VmFlags: rd wr mr mw me ac lo lf sd
7f0000000000-7f0000001000 rw-p 00000000 00:00 0     /lib/lo
Anonymous:             8 kB
Locked:                0 kB
VmFlags: rd wr mr mw me ac sd
7fff00000000-7fff00001000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
VmFlags: rd ex mr mw me de
`
	if got := parseUnlocked(smaps); got != 8<<10 {
		t.Error(got)
	}
}

func TestBefore(t *testing.T) {
	want := Before{IOFlusher: true, OOMScoreAdj: -17, CoreFilter: 0x33, LockCur: 8 << 20, LockMax: unix.RLIM_INFINITY}
	if got, err := ParseBefore(want.String()); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := ParseBefore("true"); err == nil {
		t.Error("half a text was read")
	}
}

// TestMarker: only our own second life believes the variable.
func TestMarker(t *testing.T) {
	for value, want := range map[string]bool{
		fmt.Sprintf("%d %s", os.Getpid(), Before{}): true, fmt.Sprintf("%d %s", os.Getpid()+1, Before{}): false, "": false, fmt.Sprintf("%d x", os.Getpid()): false,
	} {
		t.Setenv(marker, value)
		if _, got := secondLife(); got != want {
			t.Errorf("%q: %v", value, got)
		}
		if _, left := os.LookupEnv(marker); left {
			t.Errorf("%q: left in the environment", value)
		}
	}
}
