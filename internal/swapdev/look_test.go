package swapdev

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLookAtAreas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swaps")
	text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0                              partition\t1024\t\t4\t\t100\n/swap\\040file file 2048 0 -2\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Areas(path)
	if want := []Area{{"/dev/zram0", 1 << 20, 4096, 100}, {"/swap file", 2 << 20, 0, -2}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err := Areas(path + "x"); err == nil {
		t.Error("no file, no error")
	}
}

// Records tells the living from the dead, and leaves the folder as it is.
func TestRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if got, err := Records(dir); got != nil || err != nil {
		t.Error(got, err)
	}
	var runs []*Run
	for range 2 {
		r, err := NewRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	if err := runs[1].Release(); err != nil { // as if it had been killed
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0123456789abcdef.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadDir(dir)
	found, err := Records(dir)
	after, _ := os.ReadDir(dir)
	if err == nil || len(found) != 2 || len(before) != len(after) {
		t.Fatalf("%v, %v, %d files, then %d", found, err, len(before), len(after))
	}
	for _, f := range found {
		if f.Owned != (f.Record.ID == runs[0].ID()) {
			t.Errorf("%+v", f)
		}
	}
	if err := runs[0].Close(); err != nil {
		t.Fatal(err)
	}
	if found, _ := Records(dir); len(found) != 1 || found[0].Record.ID != runs[1].ID() {
		t.Errorf("%v", found)
	}
}
