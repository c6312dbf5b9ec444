package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zswapd/zswapd/internal/run"
)

// A pipe's reader gets the result, and not an end before it.
func TestOutputToPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	noErr(t, syscall.Mkfifo(pipe, 0o600))
	read := make(chan string, 1)
	go func() {
		b, err := os.ReadFile(pipe)
		if err != nil {
			b = []byte(err.Error())
		}
		read <- string(b)
	}()
	out, err := newOutputs(output{"--json", pipe})
	noErr(t, err)
	result := strings.Repeat("a result\n", 10_000) // more than a pipe holds
	noErr(t, out.write("--json", func(w io.Writer) error { _, err := io.WriteString(w, result); return err }))
	if got := <-read; got != result {
		t.Errorf("%d bytes came through, not %d", len(got), len(result))
	}
}

// Two results never go to one file, whatever it is called.
func TestOutputsToOneFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	noErr(t, os.Mkdir("sub", 0o700))
	noErr(t, os.Symlink("sub", "other"))
	noErr(t, os.WriteFile("one", nil, 0o600))
	noErr(t, os.Link("one", "two"))
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"a", "./a", true}, {"a", filepath.Join(dir, "a"), true}, {"sub/a", "other/a", true}, {"one", "two", true},
		{"a", "b", false}, {"a", "sub/a", false}, {"a", "", false}, {os.DevNull, os.DevNull, false},
	} {
		_, err := newOutputs(output{"--json", c.a}, output{"--html", c.b})
		var mistake run.UsageError
		if errors.As(err, &mistake) != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, err)
		}
	}
	if all, _ := filepath.Glob("*"); len(all) != 4 {
		t.Errorf("files left: %v", all)
	}
}
