package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/loadtest"
)

// A user who owns nothing here, and a group that every Debian has.
const (
	stranger      = 64323
	strangerGroup = "games"
)

// publicService is a service under verified load whose socket the group of strangers may open.
func publicService(t *testing.T, args ...string) (s *service, socket string, l *loadtest.Load) {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("/tmp", "zswapd-control-")
	noErr(t, err)
	t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
	noErr(t, os.Chmod(dir, 0o755))
	install(t, binary, filepath.Join(dir, "zswapd"))
	noErr(t, os.Chmod(filepath.Join(dir, "zswapd"), 0o755))
	socket = filepath.Join(dir, "run", "control.sock")
	state := newState(t)
	args = append([]string{"serve", "--keeper", "--state", state, "--config", emptyConfig(t), "--set", "control.socket=" + socket,
		"--set", "control.group=" + strangerGroup, "--set", "door=fuse", "--set", "swap.size=256MiB",
		"--set", "pool.max_pool_size=256MiB", "--set", "swap.priority=32767"}, args...)
	s = startCommand(t, state, binary, args...)
	s.wait("to answer", func() bool { _, err := os.Stat(socket); return err == nil })
	l = loadtest.Start(t, newState(t), binary, workloadName)
	c := control.NewClient(socket)
	defer c.Close()
	s.wait("to be swapped to", func() bool {
		st, err := c.Stats(t.Context())
		return err == nil && st.StoredPages > 5000 && st.Loads > 1000
	})
	return s, socket, l
}

// asStranger runs a command as a user who is in the group of strangers, or not.
func asStranger(t *testing.T, socket string, member bool, args ...string) outcome {
	t.Helper()
	c := exec.Command(filepath.Join(filepath.Dir(filepath.Dir(socket)), "zswapd"), append(args, "--socket", socket)...)
	groups := []uint32{}
	if member {
		g, err := user.LookupGroup(strangerGroup)
		noErr(t, err)
		id, err := strconv.ParseUint(g.Gid, 10, 32)
		noErr(t, err)
		groups = append(groups, uint32(id))
	}
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger, Groups: groups}}
	return finish(t, c, t.TempDir(), "")
}

// curl gets something from the socket without the project's own client.
func curl(t *testing.T, socket, path string) (code int, text string) {
	t.Helper()
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	a, err := h.Get("http://zswapd" + path)
	noErr(t, err)
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	noErr(t, err)
	return a.StatusCode, string(body)
}

// TestControl asks and tells a daemon that swaps for a verified workload, as root, as one of the group, and as neither.
func TestControl(t *testing.T) {
	s, socket, l := publicService(t)
	l.GoesOn(t)
	ask := func(args ...string) outcome { t.Helper(); return call(t, append(args, "--socket", socket)...) }

	o := ask("status")
	mustContain(t, o.out, " of memory holds ", " saved\n", " to 1, all overhead counted", "fuse on "+s.device, "refused      no page", "a fault      median")
	var st control.Status
	o = asStranger(t, socket, true, "status", "--json")
	noErr(t, json.Unmarshal([]byte(o.out), &st))
	if o.code != 0 || st.PID != s.serving() || st.StoredPages < 1000 || st.Ratio < 1.2 || st.SavedBytes <= 0 || st.SwapBytes == 0 || st.State != "serving" ||
		st.LatencyNS.Fault.P50 == 0 || st.CPU.UserSeconds+st.CPU.SystemSeconds == 0 || st.OwnBytes < 1<<20 || st.OwnBytes > 1<<30 {
		t.Errorf("exit code %d, status %+v", o.code, st)
	}
	mustContain(t, ask("status", "--settings").out, "pool.accept_threshold_percent  90                           live           default")
	mustContain(t, ask("status", "--events").out, "serving 256 MiB of swap on "+s.device)
	if code, text := curl(t, socket, "/metrics"); code != 200 || !strings.Contains(text, "\nzswapd_stored_pages ") || !strings.Contains(text, `zswapd_state{state="serving"} 1`) {
		t.Errorf("metrics: %d\n%s", code, text)
	}
	if code, text := curl(t, socket, "/v1/health"); code != 200 || !strings.Contains(text, `"ok":true`) {
		t.Errorf("health: %d %s", code, text)
	}

	mustContain(t, ask("compact").out, "moved ", " freed ")
	mustContain(t, ask("set", "pool.accept_threshold_percent=80").out, "pool.accept_threshold_percent is 80, was 90")
	mustContain(t, ask("reload").out, "pool.accept_threshold_percent is 90, was 80")
	mustContain(t, ask("reload").out, "nothing has changed")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"set", "pool.accept_threshold_percent=800"}, exitUsage, "1 to 100"},
		{[]string{"set", "pool.no_such_key=1"}, exitUsage, "pool.no_such_key = 1: no such key"},
		{[]string{"set", "swap.size=1GiB"}, exitUsage, "swap.size cannot change while it is served: write it to the configuration; it takes a stop and start"},
		{[]string{"set", "pool.compressor=lz4"}, exitUsage, "pool.compressor cannot change while it is served: write it to the configuration; it takes a restart"},
		{[]string{"compact", "extra"}, exitUsage, `"extra": zswapd compact takes flags only; see zswapd compact --help`},
		{[]string{"set", "writeback.file=/no/such"}, exitUsage, `writeback.file stays "": zpool: backing file: open /no/such: no such file or directory`},
		{[]string{"set", "writeback.file=/etc/passwd"}, exitUsage, "bytes that are not ours"},
		{[]string{"set", "nothing"}, exitUsage, "want KEY=VALUE"},
		{[]string{"set"}, exitUsage, "0 arguments: want zswapd set KEY=VALUE; see zswapd set --help"},
		{[]string{"writeback", "--bytes", "0"}, exitUsage, "is no size"},
		{[]string{"status", "--watch=1ns"}, exitUsage, "100ms at least"},
		{[]string{"upgrade", "--binary", "/bin/true"}, exitRefused, "cannot take over"},
		{[]string{"upgrade", "--binary", "/etc/passwd"}, exitRefused, "so this one goes on: fork/exec /etc/passwd: permission denied\n"},
		{[]string{"upgrade", "--binary", "/etc"}, exitUsage, "--binary: /etc is a folder"},
	} {
		if o := ask(c.args...); o.code != c.code || !strings.Contains(o.errors, c.says) {
			t.Errorf("%v: exit code %d, %q", c.args, o.code, o.errors)
		}
	}
	mustContain(t, ask("status", "--settings").out, `writeback.file                 ""                           live           default`)
	for _, args := range [][]string{{"compact"}, {"stop", "--force"}, {"drain"}, {"set", "pool.accept_threshold_percent=1"}, {"reload"}, {"age"}, {"writeback"}, {"restart"}} {
		if o := asStranger(t, socket, true, args...); o.code != exitDenied || !strings.Contains(o.errors, "only root may do that") {
			t.Errorf("%v as one of the group: exit code %d, %q", args, o.code, o.errors)
		}
		if o := asStranger(t, socket, false, args...); o.code != exitDenied || !strings.Contains(o.errors, "not permitted") {
			t.Errorf("%v as nobody in particular: exit code %d, %q", args, o.code, o.errors)
		}
	}
	l.GoesOn(t)
	noErr(t, l.Finish())
	mustContain(t, ask("drain").out, "swap is off; the daemon is still there")
	mustContain(t, ask("status").out, "swap is off", "nothing is swapped out")
	noErr(t, json.Unmarshal([]byte(ask("status", "--json").out), &st))
	if st.StoredPages != 0 || st.MemoryBytes > 16<<20 {
		t.Errorf("the pool of a daemon without swap has %d pages and %d bytes", st.StoredPages, st.MemoryBytes)
	}
	mustContain(t, ask("stop").out, "stopped: swap is off, and nothing is left")
	if left, err := os.ReadDir(s.state); err != nil || len(left) > 0 {
		t.Errorf("left in the state folder: %v %v", left, err)
	}
	<-s.ended
	if o := ask("status"); o.code != exitNoDaemon || !strings.Contains(o.errors, "no zswapd is running: there is no "+socket) {
		t.Errorf("afterwards: exit code %d, %q", o.code, o.errors)
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestStatusWatch watches while a daemon is killed, replaced and stopped.
func TestStatusWatch(t *testing.T) {
	s, socket, l := publicService(t)
	c := exec.Command(binary, "status", "--json", "--watch=100ms", "--socket", socket)
	out := new(journal)
	c.Stdout, c.Stderr = out, out
	noErr(t, c.Start())
	defer func() { _ = c.Process.Kill() }()
	shows := func(text string) func() bool { return func() bool { return strings.Contains(out.String(), text) } }
	s.wait("to be watched", shows(fmt.Sprintf(`"pid":%d,`, s.serving())))
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL))
	s.wait("to be watched again", shows(fmt.Sprintf(`"pid":%d,`, s.replaced(was))))
	mustContain(t, out.String(), `"restarts":1,`)
	noErr(t, l.Finish())
	s.stop()
	s.wait("to be missed", shows("no zswapd is running"))
	noErr(t, c.Process.Signal(syscall.SIGINT))
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		noErr(t, err)
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
}

// TestControlWithoutGroup: a group that is not there leaves the socket to root, who is told.
func TestControlWithoutGroup(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--set", "control.group=no-such-group")
	s.wait("to answer", func() bool { _, err := os.Stat(socketOf(state)); return err == nil })
	mustContain(t, call(t, "status", "--socket", socketOf(state)).out, "PROBLEM", `"no-such-group": there is none; addgroup --system no-such-group makes it`)
	if info, err := os.Stat(socketOf(state)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s.stop()
}

// TestNoAnswer: a daemon that hangs keeps nobody waiting for ever, least of all those who want to be rid of it.
func TestNoAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path) // and nobody accepts
	noErr(t, err)
	defer l.Close()
	commands := map[*exec.Cmd]*journal{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"stop", "--force"}, {"drain"}, {"restart"}, {"upgrade"}} {
		c, said := exec.CommandContext(ctx, binary, append(args, "--socket", path)...), new(journal)
		c.Stderr = said
		noErr(t, c.Start())
		commands[c] = said
	}
	for c, said := range commands {
		_ = c.Wait()
		if c.ProcessState.ExitCode() != exitMachine || !strings.Contains(said.String(), "the daemon does not answer on "+path) {
			t.Errorf("%v: %v, %q", c.Args[1:], c.ProcessState, said)
		}
	}
}
