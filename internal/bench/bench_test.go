package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// complete returns options that are complete, with one round unless they say otherwise.
func complete(t *testing.T, o Options) *Options {
	t.Helper()
	if o.Rounds == 0 {
		o.Rounds = 1
	}
	must(t, o.Complete())
	return &o
}

// needZRAM skips the test without root or zram, unless ZSWAPD_TEST_ROOT=required.
func needZRAM(t *testing.T) {
	t.Helper()
	o := complete(t, Options{Against: []string{"zram:lz4"}})
	err := o.checkZRAM()
	switch {
	case err == nil:
	case os.Getenv("ZSWAPD_TEST_ROOT") == "required":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// devices returns the zram devices of so many pages. Tests take numbers that nobody else has.
func devices(t *testing.T, pages int64) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/sys/block/zram*/disksize")
	must(t, err)
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == strconv.FormatInt(pages*4096, 10) {
			found = append(found, f)
		}
	}
	return found
}
