package rules

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/zswapd/zswapd/"

// layers are the folders from the bottom up. A package imports only packages of lower layers, or of its own.
var layers = []struct {
	name  string
	paths []string
}{
	{"tools", []string{"internal/histogram", "internal/invariant", "internal/arena", "internal/backing", "internal/bell", "internal/cputime", "internal/rules"}},
	{"codecs and objects", []string{"compressor", "zsmalloc"}},
	{"pool", []string{"zpool"}},
	{"machine", []string{"internal/"}},
	{"command", []string{"cmd/"}},
}

func layer(path string) int {
	for i, l := range layers {
		for _, p := range l.paths {
			if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
				return i
			}
		}
	}
	return -1
}

type pkg struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
}

func packages(t *testing.T) (all []pkg) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestDependenciesPointDown(t *testing.T) {
	all := packages(t)
	if len(all) < 10 {
		t.Fatalf("go list found %d packages", len(all))
	}
	for _, p := range all {
		from := layer(strings.TrimPrefix(p.ImportPath, module))
		if from < 0 {
			t.Errorf("%s is in no layer", p.ImportPath)
		}
		for _, i := range p.Imports {
			if path, ours := strings.CutPrefix(i, module); ours && layer(path) > from {
				t.Errorf("%s (%s) imports %s (%s)", p.ImportPath, layers[from].name, path, layers[layer(path)].name)
			}
		}
	}
}

// The pool, its allocator and its codecs know nothing of devices, command lines or logs.
func TestLibrariesStayPlain(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path != "zpool" && path != "zsmalloc" && path != "compressor" {
			continue
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "golang.org/x/sys") || strings.HasPrefix(i, "net") || strings.Contains(i, "zap") || strings.Contains(i, "cobra") {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
}

func TestUnsafeIsQuarantined(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			unsafe := slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"unsafe"` })
			if unsafe && !strings.HasSuffix(name, "_unsafe.go") {
				t.Errorf("%s/%s imports unsafe: only files named *_unsafe.go may", p.ImportPath, name)
			}
		}
	}
}

func TestEveryPackageIntroducesItself(t *testing.T) {
	for _, p := range packages(t) {
		comments := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments++
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments, want one", p.ImportPath, comments)
		}
	}
}

// The top level is for what a visitor looks for first.
func TestTopLevel(t *testing.T) {
	want := []string{"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
		"cmd", "compressor", "configs", "go.mod", "go.sum", "internal", "systemd", "zpool", "zsmalloc"}
	out, err := exec.Command("git", "-C", "../..", "ls-tree", "--name-only", "HEAD").Output()
	if err != nil {
		t.Skip("no git tree to look at: this is an export")
	}
	for name := range strings.Lines(string(out)) {
		if name = strings.TrimSpace(name); !strings.HasPrefix(name, ".") && !slices.Contains(want, name) {
			t.Errorf("%s at the top level", name)
		}
	}
	for _, name := range want {
		if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
			t.Error(err)
		}
	}
}
