package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const childMode = "ZSWAPD_TEST_CHILD"

// TestMain: as a child, use the bytes asked for, say so and wait for the end of the input.
func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	var bytes int
	var procs string
	_, _ = fmt.Sscanf(mode, "%d %s", &bytes, &procs)
	if err := os.WriteFile(procs, []byte("0"), 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	memory, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; i < bytes; i += 4096 {
		memory[i] = byte(i>>12) | 1
	}
	fmt.Println("filled")
	bufio.NewScanner(os.Stdin).Scan()
}

func needRoot(t *testing.T) {
	t.Helper()
	why := "needs root"
	if os.Geteuid() == 0 {
		_, err := host.find()
		if err == nil {
			return
		}
		why = err.Error()
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func testGroup(t *testing.T, limitBytes int64) *Group {
	t.Helper()
	needRoot(t)
	g, err := Create(fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()), limitBytes)
	noErr(t, err)
	t.Cleanup(func() {
		noErr(t, g.Kill(time.Minute))
		noErr(t, g.Remove())
		noErr(t, g.Remove())
		if _, err := Open(g.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	return g
}

func hog(t *testing.T, bytes int, procs string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childMode, bytes, procs))
	in, err := cmd.StdinPipe()
	noErr(t, err)
	out, err := cmd.StdoutPipe()
	noErr(t, err)
	noErr(t, cmd.Start())
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop(); _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	lines.Scan()
	return cmd, lines.Text()
}

func TestGroupLife(t *testing.T) {
	g := testGroup(t, 64<<20)
	if _, err := Create(filepath.Base(g.Path()), 64<<20); !errors.Is(err, os.ErrExist) {
		t.Errorf("the same name again: %v", err)
	}
	told := []string{}
	if _, err := CreateNoted(filepath.Base(g.Path()), 64<<20, func(dir string) error { told = append(told, dir); return nil }); err == nil || len(told) != 2 || told[1] != "" {
		t.Errorf("the same name, noted: %v, %q", err, told)
	}
	cmd, word := hog(t, 16<<20, g.ProcsFile())
	if word != "filled" {
		t.Fatal(word)
	}
	s, err := g.Stats()
	noErr(t, err)
	t.Logf("version %d in %s: %+v", g.Version(), g.Path(), s)
	if s.Limit != 64<<20 || s.Current < 16<<20 || s.Peak < s.Current && s.Peak != 0 || s.OOMKills != 0 {
		t.Errorf("%+v", s)
	}
	noErr(t, g.SetLimit(128<<20))
	if s, _ := g.Stats(); s.Limit != 128<<20 {
		t.Errorf("limit %d", s.Limit)
	}
	// A group below, with a process of its own, belongs to it.
	child := filepath.Join(g.Path(), "below")
	noErr(t, os.Mkdir(child, 0o755))
	second, word := hog(t, 1<<20, filepath.Join(child, "cgroup.procs"))
	if word != "filled" {
		t.Fatal(word)
	}
	third := exec.Command("sleep", "60")
	noErr(t, third.Start())
	defer third.Wait()
	noErr(t, g.Add(third.Process.Pid))
	pids, err := g.Procs()
	noErr(t, err)
	if len(pids) != 3 {
		t.Errorf("%v, want %d, %d and %d", pids, cmd.Process.Pid, second.Process.Pid, third.Process.Pid)
	}
	if err := g.Remove(); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("Remove with processes: %v", err)
	}
	start := time.Now()
	noErr(t, g.Kill(time.Minute))
	pids, err = g.Procs()
	if err != nil || len(pids) > 0 {
		t.Error(pids, err)
	}
	t.Log("killed in", time.Since(start))
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}

// TestOOM: with nothing to swap to in reach of the group, the limit kills, and it shows.
func TestOOM(t *testing.T) {
	g := testGroup(t, 8<<20)
	file := "memory.swap.max"
	if g.Version() == 1 {
		file = "memory.swappiness"
	}
	if err := put(g.Path(), file, "0"); err != nil {
		t.Skip(err)
	}
	cmd, word := hog(t, 32<<20, g.ProcsFile())
	if word == "filled" {
		t.Fatal("the limit held nobody")
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
	if s, err := g.Stats(); err != nil || s.OOMKills == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSmallestLimit: a program does start under MinLimit.
func TestSmallestLimit(t *testing.T) {
	g := testGroup(t, MinLimit)
	cmd := exec.Command("sh", "-c", "echo 0 > "+g.ProcsFile()+" && exec true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Error(string(out), err)
	}
}

// TestHoldSwap: a group that is not to be swapped out is as it was after undo, and so are those below it.
func TestHoldSwap(t *testing.T) {
	needRoot(t)
	g := testGroup(t, 16<<20)
	below := filepath.Join(g.dir, "below")
	noErr(t, os.Mkdir(below, 0o755))
	name := map[int]string{1: "memory.swappiness", 2: "memory.swap.max"}[g.version]
	read := func(dir string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		noErr(t, err)
		return strings.TrimSpace(string(text))
	}
	dirs, before := []string{g.dir}, []string{read(g.dir)}
	if g.version == 1 {
		noErr(t, put(below, name, "42"))
		dirs, before = append(dirs, below), append(before, "42")
	}
	undo, err := g.HoldSwap()
	noErr(t, err)
	for _, dir := range dirs {
		if now := read(dir); now != "0" {
			t.Errorf("%s is %s", name, now)
		}
	}
	noErr(t, undo())
	for i, dir := range dirs {
		if now := read(dir); now != before[i] {
			t.Errorf("%s is %s, was %s", name, now, before[i])
		}
	}
	undo, err = g.HoldSwap()
	noErr(t, err)
	noErr(t, os.Remove(below)) // what is gone needs no undo
	noErr(t, undo())
}
