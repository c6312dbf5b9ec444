package compressor

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range Names() {
		c := mustNew(t, name)
		if c.Name() != name || seen[name] {
			t.Errorf("%s calls itself %s, listed twice: %v", name, c.Name(), seen[name])
		}
		seen[name] = true
	}
	if !seen[Default] {
		t.Errorf("the default %q is not listed", Default)
	}
	for name, want := range map[string]string{
		"minlz:1": "minlz", "minlz:0": "minlz:0", "lz4hc:1": "lz4hc", "lz4hc:5": "lz4hc:5", "zstd:1": "zstd", "zstd:4": "zstd:4", "minlz:3": "minlz:3",
	} {
		if got := mustNew(t, name).Name(); got != want {
			t.Errorf("%s calls itself %s, want %s", name, got, want)
		}
		if got, err := Canonical(name); got != want || err != nil {
			t.Errorf("%s: canonical %q, %v, want %s", name, got, err, want)
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{
		"", "lzo", "LZ4", "minlz:", "minlz:-1", "minlz:4", "minlz:01", "minlz:+1", "minlz:1:1", "minlz:x", " minlz",
		"zstd:0", "zstd:23", "zstd:-1", "lz4hc:10", "lz4:1", "lz4:0", "s2:2", "none:0", ":1",
	} {
		c, err := New(name)
		if err == nil {
			t.Errorf("%q made %s", name, c.Name())
			continue
		}
		if got, err2 := Canonical(name); got != "" || err2 == nil || err2.Error() != err.Error() {
			t.Errorf("%q: canonical %q, %v", name, got, err2)
		}
		for _, part := range []string{`"` + name + `"`, "none, lz4, lz4hc[:1-9], s2, minlz[:0-3], zstd[:1-22]"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error does not say %s: %v", name, part, err)
			}
		}
	}
}

// TestIDs: the numbers are on disk.
func TestIDs(t *testing.T) {
	for id, want := range []string{"raw", "lz4", "s2", "minlz", "zstd", "ID(5)"} {
		if got := ID(id).String(); got != want {
			t.Errorf("format %d is %s, want %s", id, got, want)
		}
	}
	for name, want := range map[string]ID{"none": Raw, "lz4": LZ4, "lz4hc:9": LZ4, "s2": S2, "minlz:2": MinLZ, "zstd:6": Zstd} {
		if got := mustNew(t, name).ID(); got != want {
			t.Errorf("%s writes %v, want %v", name, got, want)
		}
	}
}
