package sdnotify

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main(func() error { return nil })
	if os.Getenv("ZSWAPD_TEST_LISTEN") != "" {
		list, err := Listen()
		fmt.Println(list["a"] != 0, len(list), err, os.Getenv(listenFDs) == "")
		for _, name := range []string{"a", "b"} {
			b := make([]byte, 16)
			n, _ := unix.Read(list[name], b)
			fmt.Println(name, string(b[:max(n, 0)]))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listener is a manager's socket.
func listener(t *testing.T) (m *Manager, socket int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(socket, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	t.Setenv(socketEnv, path)
	if m, err = FromEnv(); err != nil || m == nil {
		t.Fatal(m, err)
	}
	return m, socket
}

func receive(t *testing.T, socket int) (text string, fds []int) {
	t.Helper()
	b, control := make([]byte, MaxMessage), make([]byte, unix.CmsgSpace(4*MaxDescriptors))
	n, c, _, _, err := unix.Recvmsg(socket, b, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := unix.ParseSocketControlMessage(control[:c]); err == nil && len(list) > 0 {
		fds, _ = unix.ParseUnixRights(&list[0])
	}
	return string(b[:n]), fds
}

// What is sent is what systemd documents, and reads the same on the other side.
func TestMessages(t *testing.T) {
	m, socket := listener(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, c := range []struct {
		send func() error
		text string
		want Message
		fds  int
	}{
		{func() error { return m.Notify(Ready, Status("a\nb")) }, "READY=1\nSTATUS=a; b", Message{Ready: true, Status: "a; b"}, 0},
		{func() error { return m.Notify(Pet) }, "WATCHDOG=1", Message{Pet: true}, 0},
		{func() error { return m.Notify(Stopping) }, "STOPPING=1", Message{Stopping: true}, 0},
		{func() error { return m.Notify(Binary("/a/b")) }, "X_ZSWAPD_BINARY=/a/b", Message{Binary: "/a/b"}, 0},
		{func() error { return m.Store("pipe", int(r.Fd())) }, "FDSTORE=1\nFDPOLL=0\nFDNAME=pipe", Message{Store: true, Name: "pipe"}, 1},
		{func() error { return m.Remove("pipe") }, "FDSTOREREMOVE=1\nFDNAME=pipe", Message{Remove: true, Name: "pipe"}, 0},
	} {
		if err := c.send(); err != nil {
			t.Fatal(err)
		}
		text, fds := receive(t, socket)
		if got := ParseMessage(text); text != c.text || got != c.want || len(fds) != c.fds {
			t.Errorf("%q, %+v with %d descriptors; want %q, %+v with %d", text, got, len(fds), c.text, c.want, c.fds)
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// A barrier waits for the manager to close what came with it, and not for ever.
func TestBarrier(t *testing.T) {
	m, socket := listener(t)
	passed := make(chan error, 1)
	go func() { passed <- m.Barrier() }()
	text, fds := receive(t, socket)
	if !ParseMessage(text).Barrier || len(fds) != 1 {
		t.Fatalf("%q, %v", text, fds)
	}
	select {
	case err := <-passed:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = unix.Close(fds[0])
	if err := <-passed; err != nil {
		t.Error(err)
	}
	_ = unix.Close(socket)
	if err := m.Barrier(); err == nil || errors.Is(err, ErrSilent) {
		t.Errorf("a manager that is gone: %v", err)
	}
}

// Notify does not wait for a manager that does not listen.
func TestNotifyNeverWaits(t *testing.T) {
	m, _ := listener(t)
	for i := 0; ; i++ {
		if err := m.Notify(Pet); errors.Is(err, ErrSilent) {
			return
		} else if err != nil || i > 1<<20 {
			t.Fatal(i, err)
		}
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv(socketEnv, "")
	m, err := FromEnv()
	if m != nil || err != nil || m.Notify(Ready) != nil || m.Store("a", 0) != nil || m.Barrier() != nil {
		t.Error(m, err)
	}
	t.Setenv(socketEnv, "relative")
	if _, err := FromEnv(); err == nil {
		t.Error("a relative path")
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"2000000", "", 2 * time.Second}, {"2000000", fmt.Sprint(os.Getpid()), 2 * time.Second},
		{"2000000", "1", 0}, {"-5", "", 0}, {"x", "", 0},
	} {
		t.Setenv(watchdogEnv, c.usec)
		t.Setenv(watchedEnv, c.pid)
		if got := Watchdog(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A service that is started through the shim finds its descriptors by name.
func TestListen(t *testing.T) {
	file := func(text string) *os.File {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_, _ = f.Seek(0, 0)
		return f
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, Shim, self, "service")
	c.ExtraFiles = []*os.File{file("one"), file("two"), file("three")}
	c.Env = append(os.Environ(), ListenEnvironment([]string{"a", "b", "a"})...) // the last of a name counts
	c.Env = append(c.Env, "ZSWAPD_TEST_LISTEN=1")
	out, err := c.CombinedOutput()
	if want := "true 2 <nil> true\na three\nb two\n"; err != nil || string(out) != want {
		t.Errorf("%v, %q", err, out)
	}
	c = exec.Command(self, Shim, "/no/such/program", "service")
	out, _ = c.CombinedOutput()
	if c.ProcessState.ExitCode() != ShimFailed || !strings.Contains(string(out), "/no/such/program") {
		t.Errorf("a program that is not there: %v, %q", c.ProcessState, out)
	}
}

// What is meant for another process is none of ours.
func TestListenForOthers(t *testing.T) {
	t.Setenv(listenPID, "1")
	t.Setenv(listenFDs, "1")
	t.Setenv(listenNames, "a")
	if list, err := Listen(); len(list) > 0 || err != nil {
		t.Error(list, err)
	}
	t.Setenv(listenPID, fmt.Sprint(os.Getpid()))
	t.Setenv(listenFDs, "2")
	t.Setenv(listenNames, "a")
	if _, err := Listen(); err == nil {
		t.Error("two descriptors with one name")
	}
}

// FuzzParseMessage: any text is a message, and names that are taken are names.
func FuzzParseMessage(f *testing.F) {
	f.Add("FDSTORE=1\nFDNAME=a:b\nFDNAME=c")
	f.Fuzz(func(t *testing.T, text string) {
		if m := ParseMessage(text); m.Name != "" && !validName(m.Name) {
			t.Errorf("%q", m.Name)
		}
	})
}
