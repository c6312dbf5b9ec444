package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/corpus"
)

func TestDefaults(t *testing.T) {
	o := complete(t, Options{})
	if !slices.Equal(o.Codecs, []string{"minlz"}) || !slices.Equal(o.Threads, []int{1}) || len(o.sources) != len(corpus.Generated()) || o.sources[0].Pages != generatedPages || len(o.algorithms) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestComplete(t *testing.T) {
	o := complete(t, Options{
		Codecs: []string{"minlz:1", "s2", "minlz", "all"}, Against: []string{"zram:lz4", "zram:zstd", "zram:lz4"}, Threads: []int{2, 1, 2},
		Corpora: []string{"gen:java"}, MaxPages: 100,
	})
	if !slices.Equal(o.Codecs[:4], []string{"minlz", "s2", "none", "lz4"}) || !slices.Contains(o.Codecs, "zstd:10") {
		t.Errorf("codecs %q", o.Codecs)
	}
	if !slices.Equal(o.algorithms, []string{"lz4", "zstd"}) || !slices.Equal(o.Threads, []int{2, 1}) || o.sources[0].Pages != 100 {
		t.Errorf("%+v", o)
	}
	file := filepath.Join(t.TempDir(), "x.bin")
	must(t, os.WriteFile(file, append(make([]byte, 8191), 1), 0o600))
	if o := complete(t, Options{Corpora: []string{file}, MaxPages: 100}); o.sources[0].Pages != 2 {
		t.Errorf("%d pages of a file of two", o.sources[0].Pages)
	}
}

// Each mistake is said, in a line of its own.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says []string
	}{
		{Options{Codecs: []string{"lzma"}, Rounds: 1}, []string{`"lzma" is not a codec`}},
		{Options{Against: []string{"lz4", "zram:"}, Rounds: 1}, []string{`--against "lz4"`, `--against "zram:"`}},
		{Options{Threads: []int{0, 300}, MaxPages: -1}, []string{"--rounds 0", "--pages -1", "--threads 0", "--threads 300"}},
		{Options{MaxPages: 1 << 62, Rounds: 1}, []string{"--pages 4611686018427387904"}},
		{Options{Corpora: []string{"/no/where", "gen:perl"}, Rounds: 1}, []string{"/no/where", "gen:perl"}},
		{Options{Corpora: []string{"gen:same", "gen:java"}, Rounds: 1}, []string{"gen:same: all of its 8192 pages are same-filled"}},
		{Options{Corpora: []string{"gen:java"}, Rounds: 1, MaxPages: 3, Threads: []int{1, 4}}, []string{"--threads 4: corpus gen:java has only 3 pages"}},
	} {
		err := c.o.Complete()
		if err == nil {
			t.Errorf("%+v is taken", c.o)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			if len(lines) != len(c.says) || !strings.Contains(line, c.says[i]) {
				t.Errorf("%q, want %q", lines, c.says)
				break
			}
		}
	}
}

func TestUnknownAlgorithm(t *testing.T) {
	needZRAM(t)
	o := complete(t, Options{Against: []string{"zram:lz5"}})
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "zram:lz5: this kernel's zram has ") {
		t.Error(err)
	}
}
