// Package capturetest gives tests a process whose memory is known, page for page.
//
//	func TestMain(m *testing.M) { capturetest.Main(); os.Exit(m.Run()) }
//	p := capturetest.Start(t, "plain:40", "locked:8")
//
// A region is a sort and a number of pages. Every page of it tells what it is: see Page and Find.
package capturetest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/pagegen"
)

const (
	spec  = "ZSWAPD_TEST_MEMORY" // environment: makes the test binary the process
	magic = "a page of a test"
)

// Secret is on the stack of every such process, and nowhere else in its memory.
const Secret = "-argument-that-is-on-the-stack-only"

// NeedRoot skips a test that cannot do without.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal("other programs' memory needs root, and ZSWAPD_TEST_ROOT=required")
	}
	t.Skip("other programs' memory needs root")
}

// Page makes page i of a region of a sort: a mix of package pagegen, or pages that tell what they are.
func Page(sort string, i int) []byte {
	page := make([]byte, pagegen.PageSize)
	fillPage(page, sort, i)
	return page
}

// fillPage leaves no copy of the page in memory.
func fillPage(page []byte, sort string, i int) {
	if m, err := pagegen.ParseMix(sort); err == nil {
		s := pagegen.Source{Mix: m, Seed: 1}
		s.Fill(page, uint64(i), 0)
		return
	}
	pagegen.Fill(page, pagegen.Random, 0, uint64(i))
	copy(page, magic)
	binary.LittleEndian.PutUint64(page[len(magic):], uint64(i))
	copy(page[len(magic)+8:len(magic)+24], sort+"                ")
}

// Find returns what page of what region a page is: ok only if it is one, whole.
func Find(page []byte) (sort string, i int, ok bool) {
	if string(page[:len(magic)]) != magic {
		return "", 0, false
	}
	i = int(binary.LittleEndian.Uint64(page[len(magic):]))
	sort = strings.TrimRight(string(page[len(magic)+8:len(magic)+24]), " ")
	return sort, i, string(Page(sort, i)) == string(page)
}

// Process is a child of the test. It ends with the test.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    *os.File
	out   *bufio.Reader
	Lacks []string // sorts of regions that this kernel does not have
}

// PID returns its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Start starts one and waits until its memory is filled.
func Start(t testing.TB, regions ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	noErr(t, err)
	in, inOurs, err := os.Pipe()
	noErr(t, err)
	outOurs, out, err := os.Pipe()
	noErr(t, err)
	p := &Process{t: t, cmd: exec.Command(self, Secret), in: inOurs, out: bufio.NewReader(outOurs)}
	p.cmd.Env = []string{spec + "=" + strings.Join(regions, ",")}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	noErr(t, p.cmd.Start())
	in.Close()
	out.Close()
	t.Cleanup(func() { p.Kill(); inOurs.Close(); outOurs.Close() })
	p.Lacks = strings.Fields(strings.TrimPrefix(p.line(), "ready"))
	return p
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// line reads a line of its output.
func (p *Process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	noErr(p.t, err)
	return strings.TrimSpace(line)
}

// Fork makes it fork a process that shares all memory, and returns the number of that. It ends with its parent.
func (p *Process) Fork() (pid int) {
	p.t.Helper()
	fmt.Fprintln(p.in, "fork")
	_, err := fmt.Sscan(p.line(), &pid)
	noErr(p.t, err)
	return pid
}

// VFork makes it make a process that has the same memory, and returns the number of that. It ends with its parent.
func (p *Process) VFork() (pid int) {
	p.t.Helper()
	fmt.Fprintln(p.in, "vfork")
	_, err := fmt.Sscan(p.line(), &pid)
	noErr(p.t, err)
	return pid
}

// Drop makes it give back the pages of its last region, which stays where it is.
func (p *Process) Drop() {
	p.t.Helper()
	fmt.Fprintln(p.in, "drop")
	p.line()
}

// Lock makes it lock its last region.
func (p *Process) Lock() {
	p.t.Helper()
	fmt.Fprintln(p.in, "lock")
	p.line()
}

// Exec makes it execute another program in its place, and waits until it has.
func (p *Process) Exec() {
	p.t.Helper()
	fmt.Fprintln(p.in, "exec")
	p.until("comm", func(text string) bool { return text == "cat\n" })
}

// Stop stops it, so that its memory stays as it is.
func (p *Process) Stop() {
	p.t.Helper()
	noErr(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	p.until("stat", func(text string) bool { return strings.Contains(text, ") T ") })
}

// Kill ends it, all its threads and its memory. It stays a zombie until Reap.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	for unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// Reap waits for it to end.
func (p *Process) Reap() { _ = p.cmd.Wait() }

// until waits until a file of /proc/PID is as wanted.
func (p *Process) until(file string, wanted func(text string) bool) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
		if wanted(string(text)) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Errorf("process %d: %s is %q", p.PID(), file, text)
			return
		}
	}
}

// Main does not return in a process that Start has started.
func Main() {
	regions, ok := os.LookupEnv(spec)
	if !ok {
		return
	}
	var lacks []string
	for region := range strings.SplitSeq(regions, ",") {
		var sort string
		var pages int
		if _, err := fmt.Sscanf(strings.Replace(region, ":", " ", 1), "%s %d", &sort, &pages); err != nil {
			panic(err)
		}
		if !fill(sort, pages) {
			lacks = append(lacks, sort)
		}
	}
	fmt.Println("ready", strings.Join(lacks, " "))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "fork":
			fmt.Println(fork())
		case "vfork":
			debug.SetGCPercent(-1) // which would wait for the thread that waits
			go vfork()
			for vforked.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			fmt.Println(vforked.Load())
		case "drop":
			must(unix.Madvise(last, unix.MADV_DONTNEED))
			fmt.Println("dropped")
		case "lock":
			must(unix.Mlock(last))
			fmt.Println("locked")
		case "exec":
			panic(unix.Exec("/bin/cat", []string{"cat"}, nil))
		}
	}
	os.Exit(0)
}
