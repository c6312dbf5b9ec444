package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/loadtest"
)

// diskDir returns a folder of a file system that is no tmpfs, for backing files.
func diskDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "zswapd-test-")
	noErr(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestServeTiersKilled is TestServeKilled while pages are packed and written to a disk.
func TestServeTiersKilled(t *testing.T) {
	serveKilled(t, max(*killsFlag/2, 5), false, "--set", "recompress.idle_after=1s", "--set", "writeback.idle_after=1s",
		"--set", "pool.max_pool_size=64MiB", "--set", "writeback.file="+diskDir(t), "--set", "writeback.size=128MiB")
}

func (s *service) stats() (all control.Stats) {
	s.t.Helper()
	c := control.NewClient(socketOf(s.state))
	defer c.Close()
	all, err := c.Stats(s.t.Context())
	noErr(s.t, err)
	return all
}

// TestServeTiersByHand: pages are packed, written and brought back when somebody says so; a backing file comes and goes while
// swap is in use, and a successor knows which it was. What was written is kept where the service manager says.
func TestServeTiersByHand(t *testing.T) {
	state, kept := newState(t), t.TempDir()
	t.Setenv("STATE_DIRECTORY", kept)
	s := startService(t, binary, state, "--keeper", "--set", "recompress.idle_after=1s")
	l := loadtest.Start(t, newState(t), binary, workloadName)
	s.wait("to have pages", func() bool { return s.stats().StoredPages > 4000 })
	l.Freeze(t)
	o := call(t, "writeback", "--socket", socketOf(state))
	mustContain(t, o.errors, "there is no backing file")
	s.wait("to pack pages", func() bool {
		call(t, "age", "--socket", socketOf(state))
		return s.stats().Recompressed > 100
	})
	dir := diskDir(t)
	mustBeFine(t, call(t, "set", "--socket", socketOf(state), "writeback.file="+dir))
	mustBeFine(t, call(t, "writeback", "--socket", socketOf(state)))
	b := s.stats().Backing
	if b == nil || b.Pages < 1000 || !b.Encrypted {
		t.Fatalf("in the backing file: %+v", b)
	}
	o = call(t, "set", "--socket", socketOf(state), "writeback.file=/no/such") // the old one comes back
	if o.code != exitUsage || !strings.Contains(o.errors, "writeback.file stays \""+dir) {
		t.Errorf("exit code %d, %q", o.code, o.errors)
	}
	mustBeFine(t, call(t, "writeback", "--socket", socketOf(state)))
	if b = s.stats().Backing; b == nil || b.Pages < 1000 || b.Path != dir {
		t.Fatalf("in the backing file after another could not be had: %+v", b)
	}
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL))
	s.replaced(was)
	s.wait("to answer", func() bool { _, err := os.Stat(socketOf(state)); return err == nil && s.stats().StoredPages > 0 })
	if now := s.stats().Backing; now == nil || now.Pages < b.Pages*9/10 { // some may have come back since
		text, _ := json.Marshal(now)
		t.Errorf("after a kill: %s, before %d pages", text, b.Pages)
	}
	mustBeFine(t, call(t, "set", "--socket", socketOf(state), "writeback.file="))
	if now := s.stats(); now.Backing != nil {
		t.Errorf("still a backing file: %+v", now.Backing)
	}
	text, err := os.ReadFile(filepath.Join(kept, "written-today"))
	noErr(t, err)
	hours, kib := strings.Split(strings.TrimSpace(string(text)), "\n")[1:], 0
	for _, hour := range hours {
		n, err := strconv.Atoi(strings.Fields(hour)[1])
		noErr(t, err)
		kib += n
	}
	if kib < 500 { // over 1000 pages
		t.Errorf("%d KiB were written by what is kept:\n%s", kib, text)
	}
	l.Resume()
	time.Sleep(200 * time.Millisecond)
	noErr(t, l.Finish())
	s.stop()
}

func mustBeFine(t *testing.T, o outcome) {
	t.Helper()
	if o.code != 0 {
		t.Fatalf("exit code %d: %s", o.code, o.errors)
	}
}
