package control_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/zswapd/zswapd/internal/control"
)

// Users and groups that own nothing here.
const (
	stranger      = 64321
	anotherOne    = 64322
	strangerGroup = 64777
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal("to become other users needs root, and ZSWAPD_TEST_ROOT=required")
	}
	t.Skip("to become other users needs root")
}

// publicDir is a folder that everybody may enter, with a copy of this program that everybody may execute.
func publicDir(t testing.TB) (dir, program string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "zswapd-control-")
	noErr(t, err)
	t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
	noErr(t, os.Chmod(dir, 0o755))
	program = filepath.Join(dir, "client")
	from, err := os.Open("/proc/self/exe")
	noErr(t, err)
	defer from.Close()
	to, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE, 0o755)
	noErr(t, err)
	_, err = io.Copy(to, from)
	noErr(t, err)
	noErr(t, to.Close())
	return dir, program
}

// as runs a call as another user.
func as(t testing.TB, uid, gid uint32, program, path, call string) string {
	t.Helper()
	c := exec.Command(program)
	c.Env = append(os.Environ(), asEnv+"="+path+" "+call)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{gid}}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s as %d: %v: %s", call, uid, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The group may read and nothing else; others not even that.
func TestOtherUsers(t *testing.T) {
	needRoot(t)
	dir, program := publicDir(t)
	path := filepath.Join(dir, "run", "control.sock")
	d := busy(t)
	start(t, d, control.Options{Path: path, Group: fmt.Sprint(strangerGroup)})
	limit := d.Stats().LimitBytes
	if got := as(t, stranger, strangerGroup, program, path, "status"); got != "done" {
		t.Errorf("status, as one of the group: %s", got)
	}
	for _, call := range []string{"compact", "age", "writeback", "drain", "stop", "reload", "upgrade", "set"} {
		if got := as(t, stranger, strangerGroup, program, path, call); !strings.HasPrefix(got, "denied: only root may do that") {
			t.Errorf("%s, as one of the group: %s", call, got)
		}
	}
	if s := d.Info().State; s != control.StateServing || d.Stats().LimitBytes != limit || len(d.Events()) != 0 {
		t.Errorf("something was changed: %s, limit %d, %v", s, d.Stats().LimitBytes, d.Events())
	}
	for _, call := range []string{"status", "stop"} {
		if got := as(t, stranger, stranger, program, path, call); !strings.HasPrefix(got, "denied: not permitted: "+path+" is for root") {
			t.Errorf("%s, as nobody in particular: %s", call, got)
		}
		if got := as(t, 0, 0, program, path, call); got != "done" {
			t.Errorf("%s, as root: %s", call, got)
		}
	}
	noErr(t, os.Chmod(filepath.Dir(path), 0o755))
	if got := as(t, stranger, stranger, program, path, "status"); !strings.HasPrefix(got, "denied: ") {
		t.Errorf("status, as nobody in particular, past the folder: %s", got)
	}
}

// Others cannot take so many connections that root gets none, and one cannot take those of another.
func TestConnectionsAreBounded(t *testing.T) {
	needRoot(t)
	dir, program := publicDir(t)
	path := filepath.Join(dir, "control.sock")
	start(t, busy(t), control.Options{Path: path, Group: fmt.Sprint(strangerGroup)})
	try := func(uid uint32) (got int, end func()) {
		c := exec.Command(program)
		c.Env = append(os.Environ(), hogEnv+"="+path)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: strangerGroup}}
		in, err := c.StdinPipe()
		noErr(t, err)
		out, err := c.StdoutPipe()
		noErr(t, err)
		noErr(t, c.Start())
		_, err = fmt.Fscan(out, &got)
		end = sync.OnceFunc(func() { _ = in.Close(); _ = c.Wait() })
		t.Cleanup(end)
		noErr(t, err)
		return got, end
	}
	let := func(uid uint32, calls int) {
		waitUntil(t, func() bool {
			got, end := try(uid)
			if got > calls {
				t.Fatalf("user %d got %d connections, want %d", uid, got, calls)
			}
			if got < calls { // the server has not seen yet that an earlier one of his has ended
				end()
			}
			return got == calls
		})
	}
	let(stranger, 4)
	if got := as(t, stranger, strangerGroup, program, path, "status"); !strings.HasPrefix(got, "failed: too many connections") {
		t.Errorf("the fifth of one user: %s", got)
	}
	if got := as(t, anotherOne, strangerGroup, program, path, "status"); got != "done" {
		t.Errorf("another user: %s", got)
	}
	for uid := uint32(anotherOne); uid < anotherOne+3; uid++ {
		let(uid, 4)
	}
	let(anotherOne+3, 0)
	c, ctx := client(t, path)
	_, err := c.Status(ctx)
	noErr(t, err)
	// Root's own are bounded, too, and come back when they are closed.
	for range 2 {
		var conns []net.Conn
		waitUntil(t, func() bool {
			conns = hog(path)
			for _, c := range conns {
				noErr(t, c.Close())
			}
			return len(conns) == 15 // and the client's
		})
	}
}

// hogEnv makes the test binary take all the connections that it gets, say how many, and wait.
const hogEnv = "ZSWAPD_TEST_HOG"

// hog opens connections until one is refused.
func hog(path string) (all []net.Conn) {
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			return all
		}
		if _, err := c.Write([]byte("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			return all
		}
		first := make([]byte, 12)
		if _, err := io.ReadFull(c, first); err != nil {
			_ = c.Close()
			return all
		}
		all = append(all, c)
	}
}
