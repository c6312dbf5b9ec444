package corpus

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/pagegen"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// page returns a page that is not same-filled; pages of different seeds differ.
func page(seed uint64) []byte {
	p := make([]byte, PageSize)
	pagegen.Fill(p, pagegen.Java, 1, seed)
	return p
}

// same returns a page that repeats eight bytes.
func same(pattern string) []byte { return bytes.Repeat([]byte(pattern), PageSize/8) }

func TestCount(t *testing.T) {
	lastByte := make([]byte, PageSize)
	lastByte[PageSize-1] = 1
	pages := slices.Concat(page(1), same("\x00\x00\x00\x00\x00\x00\x00\x00"), page(2), page(1), same("12345678"), page(1), same("12345678"), lastByte)
	if got, want := Count(pages), (Counts{Pages: 8, SameFilled: 3, Duplicates: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Count(nil); got != (Counts{}) {
		t.Errorf("no pages: %+v", got)
	}
}

// Files, folders and generated corpora are found by name, and read as far as is asked for.
func TestFindAndRead(t *testing.T) {
	dir := t.TempDir()
	data := slices.Concat(page(1), page(2), page(3))
	must(t, os.WriteFile(filepath.Join(dir, "b.bin"), data, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "a [1].bin"), data[:PageSize], 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no pages"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "raw"), data[:2*PageSize], 0o600))
	all, err := Find([]string{dir, filepath.Join(dir, "raw"), "gen:json"}, 5)
	must(t, err)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	if want := []string{"a [1]", "b", "raw", "gen:json"}; !slices.Equal(names, want) {
		t.Fatalf("found %q, want %q", names, want)
	}
	if all[0].Pages != 1 || all[1].Pages != 3 || all[2].Pages != 2 || all[3].Pages != 5 {
		t.Errorf("pages: %+v", all)
	}
	got := make([]byte, 2*PageSize)
	must(t, all[1].Read(got))
	if !bytes.Equal(got, data[:2*PageSize]) {
		t.Error("b.bin reads differently")
	}
	must(t, all[3].Read(got))
	want := pagegen.Source{Mix: pagegen.Only(pagegen.JSON), Seed: seed}
	expect := make([]byte, PageSize)
	want.Fill(expect, 1, 0)
	if !bytes.Equal(got[PageSize:], expect) {
		t.Error("page 1 of gen:json is another")
	}
	if err := all[0].Read(got); err == nil {
		t.Error("two pages were read from a file of one")
	}
}

func TestGeneratedAreFound(t *testing.T) {
	all, err := Find(Generated(), 64)
	must(t, err)
	if len(all) != int(pagegen.Kinds) || all[0].Name != "gen:typical" {
		t.Errorf("%d: %+v", len(all), all)
	}
	for _, s := range all {
		if same, err := s.SameFilled(); same || err != nil {
			t.Errorf("%s: same-filled %v, %v", s.Name, same, err)
		}
	}
}

// A corpus of which the first pages are same-filled is same-filled if no more are looked at.
func TestSameFilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.bin")
	must(t, os.WriteFile(file, slices.Concat(same("aaaaaaaa"), same("abcdefgh"), page(1)), 0o600))
	all, err := Find([]string{file, "gen:same"}, 100)
	must(t, err)
	for _, c := range []struct {
		s    Source
		n    int64
		want bool
	}{{all[0], 3, false}, {all[0], 2, true}, {all[1], 100, true}} {
		c.s.Pages = c.n
		if got, err := c.s.SameFilled(); err != nil || got != c.want {
			t.Errorf("%s, %d pages: %v, %v", c.s.Name, c.n, got, err)
		}
	}
}

func TestBadCorpora(t *testing.T) {
	dir := t.TempDir()
	empty, odd, none := filepath.Join(dir, "empty.bin"), filepath.Join(dir, "odd.bin"), filepath.Join(dir, "none")
	must(t, os.WriteFile(empty, nil, 0o600))
	must(t, os.WriteFile(odd, make([]byte, PageSize+1), 0o600))
	must(t, os.Mkdir(none, 0o700))
	for _, c := range []struct {
		names []string
		says  []string // a line each
	}{
		{[]string{filepath.Join(dir, "nowhere")}, []string{"nowhere"}},
		{[]string{empty}, []string{"0 bytes are no whole pages"}},
		{[]string{odd}, []string{"4097 bytes are no whole pages"}},
		{[]string{none}, []string{"no files *.bin"}},
		{[]string{dir}, []string{empty, odd}},
		{[]string{"/dev/zero"}, []string{"no file"}},
		{[]string{"gen:perl"}, []string{"gen:perl"}},
		{[]string{"gen:java", "gen:java"}, []string{`two corpora are called "gen:java"`}},
	} {
		_, err := Find(c.names, 10)
		if err == nil {
			t.Errorf("%q is taken", c.names)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.says) {
			t.Errorf("%q: %q", c.names, lines)
			continue
		}
		for i, line := range lines {
			if !strings.Contains(line, c.says[i]) {
				t.Errorf("%q: %q, want %q", c.names, line, c.says[i])
			}
		}
	}
}

// Names of files are printed, and a terminal would obey them.
func TestPrintableNames(t *testing.T) {
	dir := t.TempDir()
	for file, want := range map[string]string{"\x1b[31mred": `\x1b[31mred`, "a\nb": `a\nb`, "\xff": `\xff`, "\u202eevil": `\u202eevil`, `größe "1" \x`: `größe "1" \x`} {
		path := filepath.Join(dir, file+".bin")
		must(t, os.WriteFile(path, page(1), 0o600))
		all, err := Find([]string{path}, 0)
		must(t, err)
		if all[0].Name != want {
			t.Errorf("%q is called %q", file, all[0].Name)
		}
	}
}
