package swapdev

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRunRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	r, err := NewRun(dir)
	noErr(t, err)
	if r.Tag() != "zswapd:"+r.ID() || checkTag(r.Tag()) != nil {
		t.Errorf("tag %q", r.Tag())
	}
	noErr(t, r.SetLoop("/dev/loop9"))
	noErr(t, r.SetCgroup("/sys/fs/cgroup/zswapd-x"))
	noErr(t, r.SetMount("/run/zswapd/mnt"))
	text, err := os.ReadFile(recordPath(dir, r.ID()))
	noErr(t, err)
	var got Record
	noErr(t, json.Unmarshal(text, &got))
	want := Record{
		Version: RecordVersion, ID: r.ID(), Tag: r.Tag(), Boot: read(kernel.boot), PID: os.Getpid(), Started: started(),
		Loop: "/dev/loop9", Cgroup: "/sys/fs/cgroup/zswapd-x", Mount: "/run/zswapd/mnt",
	}
	if got != want || got.Boot == "" || got.Started == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := lockRun(dir, r.ID()); err != errAlive {
		t.Errorf("the lock of a living run: %v", err)
	}
	noErr(t, r.Close())
	noErr(t, r.Close())
	if err := r.SetLoop("/dev/loop1"); err == nil {
		t.Error("a closed run takes notes")
	}
	empty(t, dir)
}

// TestCleanRecords: everything that can lie in a state folder, without a device behind it.
func TestCleanRecords(t *testing.T) {
	dir := t.TempDir()
	alive, err := NewRun(dir)
	noErr(t, err)
	write := func(name, text string) {
		t.Helper()
		noErr(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	nothing := dead(t, dir, func(*Record) {})
	boot := dead(t, dir, func(r *Record) { r.Boot = "another"; r.Loop = "/dev/loop0"; r.Cgroup = "/sys/fs/cgroup" })
	gone := dead(t, dir, func(r *Record) { r.Loop = "/dev/loop99999" })
	later := dead(t, dir, func(r *Record) { r.Version = RecordVersion + 1 })
	write("README", "not ours")
	write("0123456789abcdeX.json", "{}")
	write("00000000000000aa.lock", "") // killed before the record was written
	write("00000000000000bb.lock", "") // killed while it was written
	write("00000000000000bb.json.new", `{"versi`)
	write("00000000000000cc.json", "garbage")
	write("00000000000000dd.json", `{"version":1,"id":"0000000000000000","tag":"x"}`)
	write("00000000000000ee.json", "")

	report, err := clean(t, dir)
	if len(report) != 1 || !strings.Contains(report[0], boot+" of an earlier boot") {
		t.Errorf("report %q", report)
	}
	for _, id := range []string{later, "00000000000000cc", "00000000000000dd", "00000000000000ee"} {
		if err == nil || !strings.Contains(err.Error(), id+".json is left alone") {
			t.Errorf("nothing said of %s: %v", id, err)
		}
		if _, err := os.Stat(recordPath(dir, id)); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{nothing, boot, gone, "00000000000000aa", "00000000000000bb"} {
		if found, _ := filepath.Glob(filepath.Join(dir, id+"*")); len(found) > 0 {
			t.Errorf("%s is still there", found)
		}
	}
	for _, name := range []string{"README", "0123456789abcdeX.json", alive.ID() + ".json", alive.ID() + ".lock"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	noErr(t, alive.Close())
}

// A start that cleans finds the lock file of another one that has only just begun.
func TestRunBesideCleans(t *testing.T) {
	dir, done := t.TempDir(), make(chan struct{})
	var cleaning sync.WaitGroup
	for range 2 {
		cleaning.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, err := Clean(t.Context(), dir, CleanOptions{}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 500 {
		r, err := NewRun(dir)
		if err != nil {
			t.Error(err)
			break
		}
		noErr(t, r.Close())
	}
	close(done)
	cleaning.Wait()
}

func TestOneBench(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		release, err := LockBench(dir)
		noErr(t, err)
		if _, err := LockBench(dir); err == nil {
			t.Error("two at once")
		}
		noErr(t, release())
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStateFolder(t *testing.T) {
	if report, err := Clean(t.Context(), t.TempDir()+"/none", CleanOptions{}); err != nil || report != nil {
		t.Errorf("a folder that is not there: %v, %v", report, err)
	}
	dir := t.TempDir()
	noErr(t, os.Chmod(dir, 0o777))
	if _, err := Clean(t.Context(), dir, CleanOptions{}); err == nil {
		t.Error("Clean trusts a folder that anybody can write to")
	}
	if _, err := NewRun(dir); err == nil {
		t.Error("NewRun trusts a folder that anybody can write to")
	}
}

func TestOurMount(t *testing.T) {
	const tag = "zswapd:0011223344556677"
	line := func(point, kind, source string) string {
		return "50 22 0:41 / " + point + " rw,nosuid shared:7 - " + kind + " " + source + " rw,user_id=0\n"
	}
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"ours":              {line("/run/z", "fuse", tag), true},
		"ours, a subtype":   {line("/run/z", "fuse.zswapd", tag), true},
		"elsewhere":         {line("/run/zz", "fuse", tag), false},
		"another source":    {line("/run/z", "fuse", "x"), false},
		"not FUSE":          {line("/run/z", "tmpfs", tag), false},
		"covered by theirs": {line("/run/z", "fuse", tag) + line("/run/z", "tmpfs", "x"), false},
		"nothing":           {"", false},
		"garbage":           {"50 - \n - \nx y z - fuse\n", false},
	} {
		if got := ourMount(c.text, "/run/z", tag); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !ourMount(line(`/run/a\040b`, "fuse", tag), "/run/a b", tag) {
		t.Error("an escaped folder")
	}
}
