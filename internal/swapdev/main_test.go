package swapdev

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/cgroup"

	"github.com/zswapd/zswapd/internal/swaptest"
)

// childMode makes the test binary play a part in a test: see children.
const childMode = "ZSWAPD_TEST_CHILD"

func TestMain(m *testing.M) {
	Main() // the helper of SwapOff is this binary
	if mode := os.Getenv(childMode); mode != "" {
		children[mode](strings.Split(os.Getenv("ZSWAPD_TEST_ARGS"), "|"))
		os.Exit(0)
	}
	unlock := swaptest.Lock()
	code := m.Run()
	unlock()
	os.Exit(code)
}

var children = map[string]func(args []string){
	// attach DIR FILE PRIORITY [CGROUP]: a run with the file as a swap device that is on; waits to be killed.
	"attach": func(args []string) { childAttach(args, true) },
	// hold DIR FILE: the same with swap off.
	"hold": func(args []string) { childAttach(args, false) },
	// file STATE DIR: a run with a swap file in DIR that is on; waits to be killed.
	"file": childFile,
	// hog PROCS: joins the cgroup and fills 24 MiB, then checks it whenever a line comes.
	"hog": childHog,
}

func childAttach(args []string, on bool) {
	run, err := NewRun(args[0])
	must(err)
	file, err := os.OpenFile(args[1], os.O_RDWR, 0)
	must(err)
	d, err := Attach(file, Options{Tag: run.Tag(), Intent: run.SetLoop})
	must(err)
	if on {
		priority, err := strconv.Atoi(args[2])
		must(err)
		must(d.SwapOn(priority, true))
	}
	if len(args) > 3 {
		must(run.SetCgroup(args[3]))
	}
	fmt.Println(d.Path(), run.ID())
	time.Sleep(time.Minute)
}

func childFile(args []string) {
	run, err := NewRun(args[0])
	must(err)
	f, err := run.CreateFile(context.Background(), args[1], fileSize)
	must(err)
	must(f.SwapOn(0, false))
	fmt.Println(f.Path())
	time.Sleep(time.Minute)
}

const hogBytes = 24 << 20

func childHog(args []string) {
	must(os.WriteFile(args[0], []byte("0"), 0))
	memory, err := syscall.Mmap(-1, 0, hogBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	must(err)
	for i := 0; i < hogBytes; i += 8 {
		memory[i] = byte(i>>12 ^ i)
	}
	fmt.Println("filled")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		wrong := 0
		for i := 0; i < hogBytes; i += 8 {
			if memory[i] != byte(i>>12^i) {
				wrong++
			}
		}
		fmt.Println("wrong", wrong)
	}
}

func must(err error) {
	if err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
}

// above returns a priority above those of the swap areas that are on, so that our pages come to us. Where somebody has
// taken the highest one it waits a while for him to end.
func above(t *testing.T) int {
	t.Helper()
	for range 100 {
		list, err := kernel.areas()
		noErr(t, err)
		highest := -1
		for _, a := range list {
			highest = max(highest, a.priority)
		}
		if highest < MaxPriority {
			return highest + 1
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Skip("another swap area has the highest priority: our pages would go there")
	return 0
}

// child starts this binary in a mode, and returns it and its output. It ends with the test.
func child(t *testing.T, mode string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"="+mode, "ZSWAPD_TEST_ARGS="+strings.Join(args, "|"))
	out, err := cmd.StdoutPipe()
	noErr(t, err)
	in, err := cmd.StdinPipe()
	noErr(t, err)
	noErr(t, cmd.Start())
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	stdin[cmd] = in
	return cmd, bufio.NewScanner(out)
}

var stdin = map[*exec.Cmd]interface{ Write([]byte) (int, error) }{}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		if _, err := os.Stat("/dev/loop-control"); err == nil {
			return
		}
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal("needs root and loop devices")
	}
	t.Skip("needs root and loop devices")
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// backing makes a file of 96 MiB on a disk, with a swap header. It is written in full: for a hole the file system
// allocates memory in the loop driver's worker, at the expense of the cgroup whose page is written, which has none left.
func backing(t *testing.T) *os.File {
	t.Helper()
	const pages = 24 << 10
	f, err := os.Create(filepath.Join(t.TempDir(), "swap file"))
	noErr(t, err)
	t.Cleanup(func() { _ = f.Close() })
	header, err := Header(pages, "test")
	noErr(t, err)
	_, err = f.WriteAt(header[:], 0)
	noErr(t, err)
	_, err = f.WriteAt(make([]byte, (pages-1)*PageSize), PageSize)
	noErr(t, err)
	noErr(t, f.Sync())
	return f
}

// rescue turns swap off and detaches when a test failed to, whatever happened.
func rescue(t *testing.T, device, tag string) {
	t.Cleanup(func() {
		d, err := Find(device, tag)
		if err != nil {
			return
		}
		t.Errorf("%s was left behind", device)
		_ = swapoff(d.Path())
		_ = d.Detach()
	})
}

// group makes a cgroup with a limit of 8 MiB that ends with the test.
func group(t *testing.T, name string) *cgroup.Group {
	t.Helper()
	g, err := cgroup.Create(fmt.Sprintf("test-%d-%s", os.Getpid(), name), 8<<20)
	noErr(t, err)
	t.Cleanup(func() {
		if err := g.Kill(time.Minute); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}
