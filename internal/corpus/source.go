package corpus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zswapd/zswapd/internal/pagegen"
)

// PageSize is the length of a page in bytes.
const PageSize = 4096

const (
	generated = "gen:" // begins the names of generated corpora
	suffix    = ".bin" // ends those of files in folders
	seed      = 7      // of generated pages
)

// Source is a corpus that can be read.
type Source struct {
	Name  string // java for java.bin; gen:java for generated pages
	Pages int64  // how many it has

	path string      // of the file; "" for generated pages
	mix  pagegen.Mix // of generated pages
}

// Generated lists the generated corpora that are worth measuring: the typical mix, and each kind of page but same-filled.
func Generated() (names []string) {
	names = append(names, generated+"typical")
	for k := range pagegen.Kinds {
		if k != pagegen.Same {
			names = append(names, generated+k.String())
		}
	}
	return names
}

// Find looks corpora up: files of whole pages, folders of such files with names that end in .bin, or gen:NAME for pages
// of package pagegen, of which there are then as many as generatedPages says. It reports every mistake at once.
func Find(names []string, generatedPages int64) (all []Source, err error) {
	var errs []error
	for _, name := range names {
		found, err := find(name, generatedPages)
		all, errs = append(all, found...), append(errs, err)
	}
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("two corpora are called %q: their figures could not be told apart", s.Name))
		}
		seen[s.Name] = true
	}
	return all, errors.Join(errs...)
}

func find(name string, generatedPages int64) ([]Source, error) {
	if kind, ok := strings.CutPrefix(name, generated); ok {
		mix, err := pagegen.ParseMix(kind)
		if err != nil {
			return nil, fmt.Errorf("corpus %s: %w", name, err)
		}
		return []Source{{Name: name, Pages: generatedPages, mix: mix}}, nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("corpus: %w", err)
	case !info.IsDir():
		s, err := file(name, info)
		return []Source{s}, err
	}
	return folder(name)
}

func folder(path string) (all []Source, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		at := filepath.Join(path, e.Name())
		info, err := os.Stat(at)
		if err != nil {
			errs = append(errs, fmt.Errorf("corpus: %w", err))
			continue
		}
		s, err := file(at, info)
		all, errs = append(all, s), append(errs, err)
	}
	if len(all)+len(errs) == 0 {
		errs = append(errs, fmt.Errorf("corpus %s: no files *%s in it", path, suffix))
	}
	return all, errors.Join(errs...)
}

func file(path string, info os.FileInfo) (Source, error) {
	s := Source{Name: printable(strings.TrimSuffix(info.Name(), suffix)), Pages: info.Size() / PageSize, path: path}
	if !info.Mode().IsRegular() {
		return s, fmt.Errorf("corpus %s: no file", path)
	}
	if s.Pages == 0 || info.Size()%PageSize != 0 {
		return s, fmt.Errorf("corpus %s: %d bytes are no whole pages of %d", path, info.Size(), PageSize)
	}
	return s, nil
}

// printable writes what a terminal would obey, or nobody would see, as in Go: a folder may be anybody's.
func printable(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// Read fills dst, whole pages, with as many of the corpus, from the first on.
func (s *Source) Read(dst []byte) error {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, dst); err != nil {
		return fmt.Errorf("corpus %s: %w", s.Name, err)
	}
	return nil
}

// SameFilled reports whether all of the corpus's pages are same-filled. It reads as far as it must.
func (s *Source) SameFilled() (bool, error) {
	r, err := s.open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	page := make([]byte, PageSize)
	for range s.Pages {
		if _, err := io.ReadFull(r, page); err != nil {
			return false, fmt.Errorf("corpus %s: %w", s.Name, err)
		}
		if !SameFilled(page) {
			return false, nil
		}
	}
	return true, nil
}

func (s *Source) open() (io.ReadCloser, error) {
	if s.path == "" {
		return &generator{pages: pagegen.Source{Mix: s.mix, Seed: seed}}, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return f, nil
}

// generator reads generated pages, without end.
type generator struct {
	pages pagegen.Source
	next  uint64
}

// Read makes as many pages as fit p, whole ones only.
func (g *generator) Read(p []byte) (n int, err error) {
	for ; n+PageSize <= len(p); n += PageSize {
		g.pages.Fill(p[n:n+PageSize], g.next, 0)
		g.next++
	}
	return n, nil
}

func (*generator) Close() error { return nil }
