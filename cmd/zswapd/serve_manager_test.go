package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

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
	said := m.all()
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
	if said = m.all(); len(with(said, "STOPPING=1")) != 1 {
		t.Errorf("all: %q", said)
	}
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
	mu   sync.Mutex
	text []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m, path := new(manager), filepath.Join(t.TempDir(), "notify")
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

// all returns what was said so far.
func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.text)
}
