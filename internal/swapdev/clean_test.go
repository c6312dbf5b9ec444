package swapdev

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func clean(t *testing.T, dir string) ([]string, error) {
	t.Helper()
	report, err := Clean(t.Context(), dir, CleanOptions{Timeout: time.Minute})
	for _, line := range report {
		t.Log(line)
	}
	return report, err
}

// TestCleanAfterKill: the owner of a device with pages on it, and of a cgroup, is killed.
func TestCleanAfterKill(t *testing.T) {
	needRoot(t)
	dir, g := t.TempDir(), group(t, "clean")
	owner, out := child(t, "attach", dir, backing(t).Name(), strconv.Itoa(above(t)), g.Path())
	if !out.Scan() || !strings.HasPrefix(out.Text(), "/dev/loop") {
		t.Fatal(out.Text())
	}
	device, id, _ := strings.Cut(out.Text(), " ")
	rescue(t, device, "zswapd:"+id)
	hog, lines := child(t, "hog", g.ProcsFile())
	if !lines.Scan() || lines.Text() != "filled" {
		t.Fatal(lines.Text())
	}
	if report, err := clean(t, dir); err != nil || len(report) > 0 {
		t.Fatalf("Clean of a living owner: %q, %v", report, err)
	}
	noErr(t, owner.Process.Kill())
	_ = owner.Wait()
	if _, on, _ := kernel.swapOf(filepath.Base(device)); !on {
		t.Error("swap went off with its owner")
	}
	report, err := clean(t, dir)
	noErr(t, err)
	for i, want := range []string{"killed 1 processes", "swapoff /dev/loop", "detached loop", "removed /"} {
		if len(report) != 4 || !strings.Contains(report[i], want) {
			t.Errorf("%q, want %q in line %d", report, want, i)
		}
	}
	if err := hog.Wait(); err == nil {
		t.Error("the command lives")
	}
	if report, err := clean(t, dir); err != nil || len(report) > 0 {
		t.Errorf("again: %q, %v", report, err)
	}
	empty(t, dir)
}

// TestCleanAutoclear: killed before SwapOn, the kernel has detached the device; only the record is left.
func TestCleanAutoclear(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	owner, out := child(t, "hold", dir, backing(t).Name())
	if !out.Scan() {
		t.Fatal("no word from the child")
	}
	device, id, _ := strings.Cut(out.Text(), " ")
	rescue(t, device, "zswapd:"+id)
	noErr(t, owner.Process.Kill())
	_ = owner.Wait()
	_, err := clean(t, dir)
	noErr(t, err)
	empty(t, dir)
}

// TestCleanForeign: a record that names a device, a cgroup and a mount of somebody else's.
func TestCleanForeign(t *testing.T) {
	needRoot(t)
	d, err := Attach(backing(t), Options{Tag: "zswapd:somebody"})
	noErr(t, err)
	rescue(t, d.Path(), "zswapd:somebody")
	noErr(t, d.SwapOn(0, false))
	dir := t.TempDir()
	dead(t, dir, func(r *Record) { r.Loop, r.Mount = d.Path(), "/proc" })
	report, err := clean(t, dir)
	if err != nil || len(report) > 0 {
		t.Errorf("%q, %v", report, err)
	}
	if _, err := d.Used(); err != nil {
		t.Errorf("the foreign device: %v", err)
	}
	dead(t, dir, func(r *Record) { r.Cgroup = "/sys/fs/cgroup" })
	if _, err := clean(t, dir); err == nil || !strings.Contains(err.Error(), "no group of ours") {
		t.Errorf("a foreign cgroup: %v", err)
	}
	noErr(t, d.SwapOff(t.Context(), OffOptions{}))
	noErr(t, d.Detach())
}

// TestCleanNoRoom: what cannot be cleaned stays recorded.
func TestCleanNoRoom(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	owner, out := child(t, "attach", dir, backing(t).Name(), "0")
	if !out.Scan() || !strings.HasPrefix(out.Text(), "/dev/loop") {
		t.Fatal(out.Text())
	}
	device, id, _ := strings.Cut(out.Text(), " ")
	rescue(t, device, "zswapd:"+id)
	noErr(t, owner.Process.Kill())
	_ = owner.Wait()
	none := OffOptions{Reserve: 1, Available: func() (uint64, error) { return 0, nil }}
	if _, err := Clean(t.Context(), dir, CleanOptions{Off: none}); err == nil || !strings.Contains(err.Error(), "would bring back") {
		t.Errorf("without room: %v", err)
	}
	_, err := clean(t, dir)
	noErr(t, err)
	empty(t, dir)
}

// dead leaves the record of a run whose owner is gone.
func dead(t *testing.T, dir string, edit func(*Record)) string {
	t.Helper()
	r, err := NewRun(dir)
	noErr(t, err)
	noErr(t, r.change(edit))
	noErr(t, r.lock.Close()) // what the kernel does when a process ends
	return r.ID()
}

func empty(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) > 0 {
		t.Errorf("left in the state folder: %v, %v", list, err)
	}
}

// What was swapped out to a dead server is lost: there need not be room for it.
func TestCleanLost(t *testing.T) {
	root := fixture(t, map[string]string{
		"swaps":   "Filename Type Size Used Priority\n/dev/ublkbX partition 2097152 1048576 10\n",
		"meminfo": "MemAvailable: 524288 kB\n",
	})
	h := kernel
	h.swaps, h.meminfo = filepath.Join(root, "swaps"), filepath.Join(root, "meminfo")
	c := cleaner{host: h, o: CleanOptions{Timeout: time.Second}}
	for name, o := range map[string]OffOptions{"lost": c.lost(), "not lost": c.o.Off} {
		var room *NoRoomError
		if err := c.swapOff(t.Context(), Target{host: h, path: "/dev/ublkbX"}, o); errors.As(err, &room) != (name == "not lost") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A dead run whose device cannot be taken away yet is cleaned again and again, beside a living one: its settings are restored once.
func TestCleanRestoresOnce(t *testing.T) {
	h := kernel
	h.swappiness = filepath.Join(fixture(t, map[string]string{"swappiness": "0\n"}), "swappiness")
	dir := t.TempDir()
	id := dead(t, dir, func(r *Record) { r.Swappiness, r.Loop = Sysctl{"60", "0"}, "/dev/what" }) // no loop device
	for _, now := range []string{"60", "0"} {
		if _, err := h.clean(t.Context(), dir, CleanOptions{}); err == nil {
			t.Fatal("all could be cleaned")
		}
		if got := read(h.swappiness); got != now {
			t.Errorf("swappiness is %s, want %s", got, now)
		}
		noErr(t, os.WriteFile(h.swappiness, []byte("0\n"), 0)) // the living one does that
	}
	r, err := readRecord(dir, id)
	if err != nil || r.Loop == "" || r.Swappiness != (Sysctl{}) {
		t.Errorf("%+v, %v", r, err)
	}
}
