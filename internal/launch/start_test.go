package launch

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run starts a command and waits; the output is what it wrote.
func run(t *testing.T, s Spec) (Status, string, error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.Std[1] = out
	p, err := Start(s)
	if err != nil {
		return Status{}, "", err
	}
	status, err := p.Wait()
	text, _ := os.ReadFile(out.Name())
	return status, string(text), err
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
	}{
		{"exit 0", 0}, {"exit 7", 7}, {"exit 255", 255}, {"kill -TERM $$", 143}, {"kill -KILL $$", 137},
	} {
		s, _, err := run(t, Spec{Args: []string{"sh", "-c", c.line}})
		if err != nil || s.Code != c.code {
			t.Errorf("%q: code %d, %v, want %d", c.line, s.Code, err, c.code)
		}
	}
}

func TestCannotRun(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := "PATH=" + dir
	for _, c := range []struct {
		name   string
		code   int
		reason string
	}{
		{"no-such-command", 127, "no-such-command: command not found"},
		{dir + "/nowhere", 127, dir + "/nowhere: no such file"},
		{script("plain", "text", 0o644), 126, dir + "/plain: permission denied"},
		{"plain", 126, dir + "/plain: permission denied"},
		{dir, 126, dir + ": is a directory"},
		{script("lost", "#!/no/such/interpreter\n", 0o755), 126, dir + "/lost: its interpreter (first line, or loader) does not exist"},
		{script("text", "echo\n", 0o755), 126, dir + "/text: neither a program nor a script with a #! line"},
		{"", 127, "no command given"},
	} {
		_, err := Start(Spec{Args: []string{c.name}, Env: []string{path}})
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code || e.Reason != c.reason {
			t.Errorf("%q: %+v, want %d %s", c.name, err, c.code, c.reason)
		}
	}
	for _, s := range []Spec{
		{Args: []string{"true"}, Dir: dir + "/nowhere"},
		{Args: []string{"true"}, Join: dir + "/cgroup.procs"},
		{Args: []string{"true"}, Undo: "nonsense"},
	} {
		_, err := Start(s)
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeCannotRun || strings.Contains(e.Reason, "\n") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if left, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %d, %v", left, err)
	}
}

func TestEnvironmentAndFolder(t *testing.T) {
	dir := t.TempDir()
	_, out, err := run(t, Spec{Args: []string{"sh", "-c", "pwd; echo $A; echo $0 $1", "zero", "one two"}, Env: []string{"A=b", "PATH=/bin:/usr/bin"}, Dir: dir})
	if want := dir + "\nb\nzero one two\n"; err != nil || out != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}

// TestCleanState: a command sees the signals we were started with, and no descriptor of ours.
func TestCleanState(t *testing.T) {
	NeverStop()
	_, out, err := run(t, Spec{Args: []string{"/proc/self/exe"}, Env: append(os.Environ(), childMode+"=show")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SigBlk:\t0000000000000000\n", "tstp ignored false\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "came along") {
		t.Error(out)
	}
}

func TestDiesWithParent(t *testing.T) {
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), childMode+"=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	pid, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatal(lines.Text())
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	time.Sleep(50 * time.Millisecond) // no thread of the parent's may end and take the command with it
	if n := poll(t, fd, 0); n != 0 {
		t.Fatal("the command ended before its parent")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if n := poll(t, fd, 30*time.Second); n == 0 {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Error("the command outlived its parent")
	}
}

func poll(t *testing.T, fd int, limit time.Duration) int {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n
		}
	}
}
