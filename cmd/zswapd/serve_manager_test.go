package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/loadtest"
	"github.com/zswapd/zswapd/internal/sdnotify"
)

// TestServeManaged: what a daemon tells systemd. What says what its descriptors are for comes first and goes last, for it may be killed
// between any two; and one that leaves everything to the next does not say that the service ends: systemd would start no other.
func TestServeManaged(t *testing.T) {
	needRoot(t)
	m, state := newManager(t), newState(t)
	s := startCommand(t, state, binary, serviceArgs(t, state)...)
	r := s.record()
	mustBeFine(t, call(t, "drain", "--socket", socketOf(state)))
	noErr(t, s.cmd.Process.Signal(unix.SIGUSR2))
	s.hasEnded(sdnotify.HandOver)
	s.nothingLeft(r)
	said := m.all(t)
	stored, removed := with(said, "FDSTORE=1"), with(said, "FDSTOREREMOVE=1")
	if len(stored) < 5 || !strings.Contains(stored[0], "FDNAME=saved") {
		t.Errorf("stored: %q", stored)
	}
	if len(removed) != len(stored) || !strings.Contains(removed[len(removed)-1], "FDNAME=saved") {
		t.Errorf("removed: %q", removed)
	}
	if len(with(said, "STOPPING=1")) > 0 {
		t.Errorf("all: %q", said)
	}
	s = startCommand(t, state, binary, serviceArgs(t, state)...)
	r = s.record()
	mustBeFine(t, call(t, "stop", "--socket", socketOf(state)))
	s.hasEnded(0)
	s.nothingLeft(r)
	if said = m.all(t); len(with(said, "STOPPING=1")) != 1 {
		t.Errorf("all: %q", said)
	}
}

// TestServeManagedRestart: a restart of the unit checks the program that systemd would start, not the one that serves; and while it is
// refused, another program is no reason for the keeper to leave.
func TestServeManagedRestart(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	program, other := filepath.Join(dir, "zswapd"), filepath.Join(dir, "other")
	install(t, binary, program)
	install(t, binary, other)
	newManager(t) // which keeps nothing: the keeper does
	s := startService(t, program, newState(t), "--keeper")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	for i, to := range []string{other, binary} {
		was := s.serving()
		if o := call(t, "upgrade", "--socket", socketOf(s.state), "--binary", to); o.code != 0 {
			t.Fatalf("exit code %d: %s", o.code, o.errors)
		}
		now := s.replaced(was)
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", now)); exe != to || !alive(s.cmd.Process.Pid) {
			t.Fatalf("process %d runs %s, want %s", now, exe, to)
		}
		l.GoesOn(t)
		if i == 0 {
			install(t, script(t, "#!/bin/sh\necho I can do anything\n"), program)
			noErr(t, s.cmd.Process.Signal(syscall.SIGUSR2))
			s.wait("to refuse", func() bool { return s.says(program + " cannot take over, so this one goes on") })
			noErr(t, os.Remove(other)) // that is no hindrance
		}
	}
	noErr(t, l.Finish())
	s.stop()
}

func with(said []string, line string) (list []string) {
	for _, one := range said {
		if slices.Contains(strings.Split(one, "\n"), line) {
			list = append(list, one)
		}
	}
	return list
}

// manager is systemd, as far as a daemon hears of it. It keeps nothing.
type manager struct {
	path string
	mu   sync.Mutex
	text []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	m := &manager{path: path}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	noErr(t, err)
	t.Cleanup(func() { _ = c.Close() })
	for _, one := range sdnotify.Environment(path, 0) {
		name, value, _ := strings.Cut(one, "=")
		t.Setenv(name, value)
	}
	go m.listen(c)
	return m
}

func (m *manager) listen(c *net.UnixConn) {
	b, oob := make([]byte, 1<<16), make([]byte, 1<<12)
	for {
		n, k, _, _, err := c.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.text = append(m.text, string(b[:n]))
		m.mu.Unlock()
		messages, _ := unix.ParseSocketControlMessage(oob[:k])
		for _, one := range messages {
			fds, _ := unix.ParseUnixRights(&one)
			for _, fd := range fds { // a barrier waits for that
				_ = unix.Close(fd)
			}
		}
	}
}

// all returns what was said so far. The last of it may not be heard yet: a word of our own comes after that.
func (m *manager) all(t *testing.T) (said []string) {
	t.Helper()
	const word = "ALL"
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.path, Net: "unixgram"})
	noErr(t, err)
	_, err = c.Write([]byte(word))
	noErr(t, errors.Join(err, c.Close()))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		m.mu.Lock()
		if i := slices.Index(m.text, word); i >= 0 {
			m.text = slices.Delete(m.text, i, i+1)
			said = slices.Clone(m.text)
		}
		m.mu.Unlock()
		if said != nil {
			return said
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody listens")
		}
	}
}
