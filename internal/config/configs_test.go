package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const configs = "../../configs/"

var rewrite = flag.Bool("rewrite", false, "write the documented default file")

// The documented file is made from the keys. With -rewrite it is written; read the difference.
func TestDocumentedDefault(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(configs+"zswapd.toml", []byte(Default()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(configs + "zswapd.toml")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Default() {
		t.Error("configs/zswapd.toml is not what the keys say: go test ./internal/config -run TestDocumentedDefault -rewrite")
	}
	for i, line := range strings.Split(string(text), "\n") {
		if n := len([]rune(line)); n > 125 {
			t.Errorf("line %d has %d columns", i+1, n)
		}
	}
}

// With each # of a key taken away the documented file is the defaults: what it says is what happens.
func TestDocumentedDefaultIsTheDefault(t *testing.T) {
	var lines []string
	uncommented := 0
	for line := range strings.Lines(Default()) {
		if key, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(key, " ") && !strings.HasPrefix(key, "\t") && strings.Contains(key, " = ") {
			line = key
			uncommented++
		}
		lines = append(lines, line)
	}
	if uncommented != len(keys) {
		t.Fatalf("%d of %d keys are in it", uncommented, len(keys))
	}
	// What makes no sense without something else is left to contradict: only its value is looked at.
	entries, problems := parse("zswapd.toml", []byte(strings.Join(lines, "")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	defaults, err := Load("", 8*gib)
	defaults = must(t, defaults, err)
	c := &Config{ram: 8 * gib}
	for _, e := range entries {
		if k := find(e.key); k != nil {
			if p, ok := k.take(c, e); !ok {
				t.Error(p)
			}
		}
	}
	if d := Diff(defaults, c); len(d) > 0 {
		t.Error(d)
	}
}

// Each file of configs/ loads on the machines that it is for, alone and as a drop-in of the documented default.
func TestConfigs(t *testing.T) {
	fits := map[string][]int64{
		"zswapd.toml":       {64 << 20, 512 << 20, gib, 16 * gib, 2 << 40},
		"small.toml":        {256 << 20, 512 << 20, gib, 2 * gib, 4 * gib},
		"big.toml":          {32 * gib, 64 * gib, 512 * gib, 6 << 40},
		"behind-zswap.toml": {512 << 20, 4 * gib, 64 * gib, 1 << 40},
	}
	files, err := filepath.Glob(configs + "*.toml")
	if err != nil || len(files) != len(fits) {
		t.Fatalf("%v, %v: want a line above for each", files, err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, ram := range fits[name] {
			c, err := Load(f, ram)
			c = must(t, c, err)
			if c.PoolLimit() > ram/2 || c.PoolLimit() < 16<<20 || c.Swap.Size < c.PoolLimit() {
				t.Errorf("%s on %s: pool %s, swap %s", name, Size(ram), Size(c.PoolLimit()), Size(c.Swap.Size))
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "etc/zswapd/zswapd.toml"), Default())
			write(t, filepath.Join(dir, "etc/zswapd/zswapd.toml.d/10-x.toml"), string(text))
			under, err := load(dir, DefaultPath, ram, "")
			if d := Diff(c, must(t, under, err)); len(d) > 0 {
				t.Errorf("%s as a drop-in: %v", name, d)
			}
		}
		if head, commented, ok := strings.Cut(string(text), "\n#["); ok { // right, too, when somebody takes the # away
			whole := head + "\n[" + strings.ReplaceAll(commented, "\n#", "\n")
			c, err := Load(write(t, filepath.Join(t.TempDir(), name), whole), fits[name][0])
			if c = must(t, c, err); c.Writeback.File == "" {
				t.Errorf("%s: no file to write back to in\n%s", name, whole)
			}
		}
	}
}
