package capture

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/capturetest"
)

func TestWriteFile(t *testing.T) {
	capturetest.NeedRoot(t)
	child := capturetest.Start(t, "plain:100")
	child.Stop()
	pop := scan(t, false, child.PID())
	dir := t.TempDir()
	file := filepath.Join(dir, "x.bin")
	want := slices.Concat(sample(t, pop, everything, 1)...)
	shows := func(what string, want []byte) {
		t.Helper()
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d: %v", what, len(got), len(want), err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%s: left behind: %v", what, list)
		}
	}
	n, err := pop.WriteFile(t.Context(), file, false, everything, 1, nil)
	if noErr(t, err); n != pop.Pages {
		t.Errorf("%d pages written of %d", n, pop.Pages)
	}
	shows("a new file", want)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	noErr(t, os.WriteFile(file, []byte("older"), 0o644))
	if _, err := pop.WriteFile(t.Context(), file, false, everything, 1, nil); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over another file: %v", err)
	}
	shows("not by force", []byte("older"))
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	interrupt := func(int64) {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
		if err == nil {
			shows("while it is written: if we were killed now", []byte("older"))
			err = unix.Close(fd)
		}
		t.Log("a file without a name:", err) // not every file system has them
		cancel(enough)
	}
	if _, err := pop.WriteFile(ctx, file, true, everything, 1, interrupt); !errors.Is(err, enough) {
		t.Errorf("interrupted: %v", err)
	}
	shows("interrupted", []byte("older"))
	_, err = pop.WriteFile(t.Context(), file, true, everything, 1, nil)
	noErr(t, err)
	shows("by force", want)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A draft takes its place with a name, as some file systems want it, and without.
func TestDraft(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.bin")
	for name, open := range map[string]func() (*draft, error){
		"as the file system can": func() (*draft, error) { return newDraft(dir) },
		"with a name": func() (*draft, error) {
			f, err := os.CreateTemp(dir, draftPattern)
			return &draft{f, f.Name()}, err
		},
	} {
		for _, force := range []bool{false, true} {
			for _, before := range []string{"", "older"} {
				_ = os.Remove(file)
				if before != "" {
					noErr(t, os.WriteFile(file, []byte(before), 0o600))
				}
				d, err := open()
				noErr(t, err)
				_, err = d.f.WriteString("newer")
				noErr(t, err)
				err = d.place(file, force)
				noErr(t, d.close())
				want := "newer"
				if before != "" && !force {
					want = before
				}
				text, _ := os.ReadFile(file)
				left, _ := os.ReadDir(dir)
				if string(text) != want || (err == nil) != (want == "newer") || len(left) != 1 {
					t.Errorf("%s, force %v, there is %q: %v; %q in %v", name, force, before, err, text, left)
				}
			}
		}
	}
}

// Without a page there is no file.
func TestNothingToWrite(t *testing.T) {
	capturetest.NeedRoot(t)
	locked := capturetest.Start(t, "everything:10")
	ended := capturetest.Start(t, "plain:100")
	pops := []*Population{scan(t, false, locked.PID()), scan(t, false, ended.PID())}
	ended.Kill()
	for i, pop := range append(pops, scan(t, false, ended.PID())) {
		file := filepath.Join(t.TempDir(), "x.bin")
		if _, err := pop.WriteFile(t.Context(), file, false, everything, 1, nil); !errors.Is(err, ErrNothing) {
			t.Errorf("%d: %v", i, err)
		}
		if list, _ := os.ReadDir(filepath.Dir(file)); len(list) > 0 {
			t.Errorf("%d: left behind: %v", i, list)
		}
	}
}

func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	noErr(t, os.WriteFile(there, nil, 0o600))
	for _, c := range []struct {
		file  string
		force bool
		says  string
	}{
		{filepath.Join(dir, "new"), false, ""},
		{there, true, ""},
		{there, false, "--force"},
		{"", true, "-o FILE"},
		{dir, true, "not a file"},
		{"/dev/null", true, "not a file"},
		{filepath.Join(dir, "no", "x"), false, "no such"},
		{filepath.Join(there, "x"), false, "is no folder"},
	} {
		if err := CheckFile(c.file, c.force); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q, force %v: %v, want %q", c.file, c.force, err, c.says)
		}
	}
}
