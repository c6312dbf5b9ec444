package serve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zswapd/zswapd/internal/config"
)

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stat returns the text of a block device's books.
func stat(reads, writes, inFlight, discards int) string {
	return fmt.Sprintf("%d 0 0 0 %d 0 0 0 %d 0 0 %d 0 0 0\n", reads, writes, inFlight, discards)
}

// Requests that wait while none is served are no progress; everything else is.
func TestProgress(t *testing.T) {
	var p progress
	for i, c := range []struct {
		stat string
		well bool
	}{
		{stat(1, 1, 5, 0), true}, // the first look
		{stat(1, 1, 5, 0), false},
		{stat(1, 1, 5, 0), false},
		{stat(2, 1, 5, 0), true},
		{stat(2, 1, 0, 0), true}, // nobody waits
		{stat(2, 1, 1, 0), false},
		{stat(2, 2, 1, 0), true},
		{stat(2, 2, 1, 1), true},
		{"", true}, // the device is gone
		{stat(2, 2, 1, 1), true},
		{stat(2, 2, 1, 1), false},
	} {
		if got := p.look(c.stat); got != c.well {
			t.Errorf("look %d, %q: %t", i, c.stat, got)
		}
	}
}

func FuzzProgress(f *testing.F) {
	f.Add(stat(1, 2, 3, 4))
	f.Add("1 2 3")
	f.Fuzz(func(t *testing.T, text string) {
		var p progress
		if !p.look(text) {
			t.Errorf("%q: stuck at the first look", text)
		}
		p.look(text)
	})
}

func mustConfig(t *testing.T, settings ...string) *config.Config {
	t.Helper()
	c, err := config.Load("", 16<<30)
	noErr(t, err)
	c, err = c.With("--set", settings...)
	noErr(t, err)
	return c
}

// What is saved is what a successor goes by, sizes computed, whatever the machine is then.
func TestSaved(t *testing.T) {
	c := mustConfig(t, "swap.size=ram / 4", "pool.compressor=zstd:3", "serve.latency_hold=17")
	s, err := newSaved(c)
	noErr(t, err)
	noErr(t, s.change(func(s *saved) { s.Device, s.Restarts, s.Stopping = "/dev/loop9", 7, true }))
	now, err := readSaved(int(s.f.Fd()))
	noErr(t, err)
	if now.Device != "/dev/loop9" || now.Restarts != 7 || !now.Stopping || now.HoldRate != 0 || !now.Since.Equal(s.now.Since) {
		t.Errorf("%+v", now)
	}
	got, unknown, err := now.config()
	noErr(t, err)
	if got.Swap.Size != 4<<30 || got.Pool.Compressor != "zstd:3" || got.Serve.LatencyHold != 17 || len(unknown) > 0 || len(config.Diff(c, got)) > 0 {
		t.Errorf("%+v, unknown %q, differs in %v", got, unknown, config.Diff(c, got))
	}
	for _, s := range got.Settings() { // the files may say something else by now
		want := "default"
		if slices.Contains([]string{"swap.size", "pool.compressor", "serve.latency_hold"}, s.Key) {
			want = "saved by the daemon before"
		}
		if s.From.String() != want {
			t.Errorf("%s is %s, want %s", s.Key, s.From, want)
		}
	}
}

// What has no effect, because of what was set at run time, does not keep a successor from the rest.
func TestSavedUnused(t *testing.T) {
	c := mustConfig(t, "pool.max_pool_percent=30", "pool.max_pool_size=1GiB", "recompress.idle_after=2m", "recompress.codec=none", "writeback.size=1GiB")
	s, err := newSaved(c)
	noErr(t, err)
	got, unknown, err := s.now.config()
	noErr(t, err)
	if len(unknown) > 0 || len(config.Diff(c, got)) > 0 {
		t.Errorf("unknown %q, differs in %v", unknown, config.Diff(c, got))
	}
}

// Settings that a later version has saved are left out by an older one, and told.
func TestSavedUnknown(t *testing.T) {
	s := saved{Version: savedVersion, RAM: 16 << 30, Settings: []string{"swap.size = '1GiB'", "warp.speed = 9", "pool.compressor = 'unheard-of'"}}
	c, unknown, err := s.config()
	noErr(t, err)
	slices.Sort(unknown)
	if c.Swap.Size != 1<<30 || len(unknown) != 2 || !strings.HasPrefix(unknown[1], "warp.speed") {
		t.Errorf("%+v, unknown %q", c, unknown)
	}
}

// What cannot be what a daemon has saved is refused, and what is too long leaves what was there.
func TestSavedBad(t *testing.T) {
	s, err := newSaved(mustConfig(t))
	noErr(t, err)
	noErr(t, s.change(func(s *saved) { s.Device = "/dev/loop1" }))
	if err := s.change(func(s *saved) { s.Device = strings.Repeat("x", savedBytes) }); err == nil {
		t.Error("more than there is room for")
	}
	if now, err := readSaved(int(s.f.Fd())); err != nil || now.Device != "/dev/loop1" || s.now.Device != "/dev/loop1" {
		t.Errorf("%+v, %v", now, err)
	}
	for _, text := range []string{"", "{}", `{"version":2}`, "not JSON", `{"version":1`} {
		noErr(t, s.f.Truncate(0))
		_, err := s.f.WriteAt([]byte(text), 0)
		noErr(t, err)
		if _, err := readSaved(int(s.f.Fd())); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if _, err := readSaved(-1); err == nil {
		t.Error("no descriptor was read")
	}
}

// FuzzReadSaved: any page is refused or gives a configuration.
func FuzzReadSaved(f *testing.F) {
	f.Add([]byte(`{"version":1,"ram":17179869184,"settings":["swap.size = '1GiB'","x = 1"]}`))
	file, err := os.CreateTemp(f.TempDir(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		noErr(t, file.Truncate(0))
		_, err := file.WriteAt(page, 0)
		noErr(t, err)
		now, err := readSaved(int(file.Fd()))
		if err != nil {
			return
		}
		if c, _, err := now.config(); err == nil && c.Swap.Size <= 0 {
			t.Errorf("%q: %+v", page, c)
		}
	})
}

// What config says can change live is what does, and nothing else.
func TestLive(t *testing.T) {
	for _, s := range mustConfig(t).Settings() {
		if (s.Change == config.Live) != (live[s.Key] != nil) {
			t.Errorf("a change of %s needs %s, it is said; can be done live: %t", s.Key, s.Change, live[s.Key] != nil)
		}
	}
	for key := range live {
		if !slices.ContainsFunc(mustConfig(t).Settings(), func(s config.Setting) bool { return s.Key == key }) {
			t.Errorf("no setting: %s", key)
		}
	}
}

// The lock is one daemon's at a time, and says whose.
func TestInstance(t *testing.T) {
	dir := t.TempDir()
	i, err := lockInstance(dir)
	noErr(t, err)
	i.note("process 1 serves")
	if _, err := lockInstance(dir); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "process 1 serves") {
		t.Errorf("a second one: %v", err)
	}
	noErr(t, i.remove())
	j, err := lockInstance(dir)
	noErr(t, err)
	noErr(t, j.remove())
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestChooseDoor(t *testing.T) {
	if kind, why, err := chooseDoor(config.DoorFUSE); kind != config.DoorFUSE || why == "" || err != nil {
		t.Error(kind, why, err)
	}
}

// A panic that is seen while swap is turned off is not forgotten: if swap stays on, a successor is made room for.
func TestFailedWhileDraining(t *testing.T) {
	seen, log := observer.New(zap.ErrorLevel)
	d := &Daemon{log: zap.New(seen), failed: true}
	for _, state := range []string{StateDraining, StateStopping, StateDrained} {
		d.state.Store(state)
		if d.next(); !d.failed || log.Len() > 0 {
			t.Errorf("%s: forgotten, or said %v", state, log.All())
		}
	}
	d.state.Store(StateServing)
	d.next() // without a manager it cannot, and says so, once
	d.next()
	if all := log.All(); d.failed || len(all) != 1 || !strings.HasPrefix(all[0].Message, "cannot be replaced: nobody keeps") {
		t.Errorf("it says %v", all)
	}
}

// A program that is asked, and leaves another one behind that has its output, does not keep us waiting, nor that one the store.
func TestAskLeavesNobody(t *testing.T) {
	for end, want := range map[string]string{"exit 0": exec.ErrWaitDelay.Error(), "exit 3": "exit status 3"} {
		dir := t.TempDir()
		program, note := filepath.Join(dir, "program"), filepath.Join(dir, "pid")
		text := fmt.Sprintf("#!/bin/sh\nsleep 60 &\necho $! >%s\necho '%s1.0'\n%s\n", note, checkedPrefix, end)
		noErr(t, os.WriteFile(program, []byte(text), 0o700))
		file, err := os.Create(filepath.Join(dir, "file"))
		noErr(t, err)
		defer file.Close()
		version, err := ask(program, file, file)
		if version != "" || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %s", end, version, err, want)
		}
		pid, err := os.ReadFile(note)
		noErr(t, err)
		path := filepath.Join("/proc", strings.TrimSpace(string(pid)), "fd")
		for tries := 0; ; tries++ {
			if fds, _ := os.ReadDir(path); len(fds) == 0 { // it is dead
				break
			} else if tries == 6000 {
				t.Fatalf("%s: process %s is left, with %d descriptors", end, pid, len(fds))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// What a program says when it is asked is read as far as it may matter.
func TestAskReadsLittle(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	noErr(t, os.WriteFile(program, []byte("#!/bin/sh\nhead -c 64M /dev/zero\n"), 0o700))
	file, err := os.Create(filepath.Join(dir, "file"))
	noErr(t, err)
	defer file.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if version, err := ask(program, file, file); err == nil {
		t.Errorf("it can take over: %q", version)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}
