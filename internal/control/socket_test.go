package control_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
)

// TestStaleSocketIsTakenOver: one that a killed daemon listened to, and one that it had not given its name yet.
func TestStaleSocketIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	for _, name := range []string{path, filepath.Join(dir, ".control.sock.4194305")} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		noErr(t, err)
		l.SetUnlinkOnClose(false)
		noErr(t, l.Close()) // as a kill leaves it
	}
	c, ctx := client(t, start(t, busy(t), control.Options{Path: path}))
	_, err := c.Status(ctx)
	noErr(t, err)
	left, err := os.ReadDir(dir)
	noErr(t, err)
	if len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestLongestPath: what the configuration takes for a path can be had, whatever the number of the process.
func TestLongestPath(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "")
	noErr(t, err)
	t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
	longest := ""
	for n := 1; ; n++ {
		path := filepath.Join(dir, strings.Repeat("s", n))
		c, err := config.LoadWith("", 1<<30, "test", "control.socket="+path)
		if err != nil {
			break
		}
		longest = c.Control.Socket
	}
	if n := len(control.DraftOf(longest, "4194304")); n > 107 {
		t.Errorf("a socket of the longest path, %d bytes, is made under a name of %d", len(longest), n)
	}
	c, ctx := client(t, start(t, busy(t), control.Options{Path: longest}))
	_, err = c.Status(ctx)
	noErr(t, err)
}

func TestLiveSocketIsRefused(t *testing.T) {
	d := busy(t)
	path := start(t, d, control.Options{})
	_, err := control.Start(d, control.Options{Path: path})
	if !errors.Is(err, control.ErrLive) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("%v, want ErrLive and who it is", err)
	}
	c, ctx := client(t, path) // the first one is as it was
	_, err = c.Status(ctx)
	noErr(t, err)
	left, err := os.ReadDir(filepath.Dir(path))
	noErr(t, err)
	if len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	noErr(t, os.WriteFile(path, []byte("precious"), 0o600))
	if _, err := control.Start(busy(t), control.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "precious" {
		t.Error(string(text), err)
	}
}

// Close removes its own socket, and nobody else's.
func TestCloseRemovesItsOwn(t *testing.T) {
	d := busy(t)
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := control.Start(d, control.Options{Path: path})
	noErr(t, err)
	noErr(t, os.Remove(path))
	next := start(t, d, control.Options{Path: path})
	noErr(t, s.Close())
	c, ctx := client(t, next)
	_, err = c.Status(ctx)
	noErr(t, err)
	one := filepath.Join(t.TempDir(), "control.sock")
	s, err = control.Start(d, control.Options{Path: one})
	noErr(t, err)
	noErr(t, s.Close())
	if _, err := os.Lstat(one); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestRemoveStale: a socket without a listener goes, one that is listened to and what is no socket stay.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	dead, file := filepath.Join(dir, "dead"), filepath.Join(dir, "file")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	noErr(t, err)
	l.SetUnlinkOnClose(false)
	noErr(t, control.RemoveStale(dead))
	if _, err := os.Lstat(dead); err != nil {
		t.Error(err)
	}
	noErr(t, l.Close())
	noErr(t, os.WriteFile(file, nil, 0o600))
	for path, stays := range map[string]bool{dead: false, file: true, filepath.Join(dir, "nothing"): false} {
		noErr(t, control.RemoveStale(path))
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestModes(t *testing.T) {
	d := busy(t)
	for _, group := range []string{"", "0"} {
		path := filepath.Join(t.TempDir(), "zswapd", "control.sock")
		start(t, d, control.Options{Path: path, Group: group})
		want := map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700}
		if group != "" {
			want = map[string]os.FileMode{path: 0o660, filepath.Dir(path): 0o710}
		}
		for name, mode := range want {
			info, err := os.Stat(name)
			noErr(t, err)
			if info.Mode().Perm() != mode || info.Sys().(*syscall.Stat_t).Gid != 0 {
				t.Errorf("group %q: %s is %v of %d, want %v", group, name, info.Mode(), info.Sys().(*syscall.Stat_t).Gid, mode)
			}
		}
	}
	// The numbers are none of groups: one means that nothing is to change, and the other would be taken for 0.
	for _, group := range []string{"no-such-group", "4294967295", "4294967296"} {
		if _, err := control.Start(d, control.Options{Path: filepath.Join(t.TempDir(), "s"), Group: group}); err == nil ||
			!strings.Contains(err.Error(), group) {
			t.Errorf("%s: %v", group, err)
		}
	}
}

func TestMetricsOverTCP(t *testing.T) {
	for _, bad := range []string{"0.0.0.0:0", "192.0.2.1:0", "[::]:0", "localhost:1", "127.0.0.1", ""} {
		if s, err := control.StartMetrics(bad, http.NotFoundHandler(), nil); err == nil {
			t.Errorf("%q is taken", bad)
			noErr(t, s.Close())
		}
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello 1\n")) })
	s, err := control.StartMetrics("127.0.0.1:0", hello, nil)
	noErr(t, err)
	defer func() { noErr(t, s.Close()) }()
	for path, want := range map[string]int{"/metrics": 200, "/v1/status": 404, "/": 404} {
		a, err := http.Get("http://" + s.Addr().String() + path)
		noErr(t, err)
		noErr(t, a.Body.Close())
		if a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}
