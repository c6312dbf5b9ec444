package zram

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/internal/swapdev"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDevice returns a device that is gone after the test. Without root or zram the test is skipped, unless
// ZSWAPD_TEST_ROOT=required.
func newDevice(t testing.TB, algorithm string, pages int64) *Device {
	t.Helper()
	needZRAM(t)
	d, err := Create(algorithm, pages*PageSize)
	must(t, err)
	t.Cleanup(func() {
		must(t, d.Remove())
		if _, err := os.Stat(d.sysfs()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", d.sysfs(), err)
		}
	})
	return d
}

func needZRAM(t testing.TB) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root"
	} else if _, err := os.Stat(control); err != nil {
		why = ErrUnavailable.Error()
	}
	switch {
	case why == "":
	case os.Getenv("ZSWAPD_TEST_ROOT") == "required":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

func newBuffer(t testing.TB, pages int) []byte {
	t.Helper()
	b, err := NewBuffer(pages)
	must(t, err)
	t.Cleanup(func() { must(t, FreeBuffer(b)) })
	return b
}

func fill(b []byte, mix pagegen.Mix, first uint64) {
	s := pagegen.Source{Mix: mix, Seed: 7}
	for page := range slices.Chunk(b, PageSize) {
		s.Fill(page, first, 0)
		first++
	}
}

// The counters say what was stored, and the pages come back.
func TestWriteReadStats(t *testing.T) {
	d := newDevice(t, "lz4", 4096)
	b, got := newBuffer(t, 320), newBuffer(t, 320)
	fill(b[:160*PageSize], pagegen.Only(pagegen.Java), 0)
	fill(b[160*PageSize:288*PageSize], pagegen.Only(pagegen.Random), 0)
	must(t, d.WritePages(1000, b))
	must(t, d.ReadPages(1000, got))
	if !bytes.Equal(got, b) {
		t.Fatal("the pages came back different")
	}
	s, err := d.Stats()
	must(t, err)
	if s.OrigDataSize != 320*PageSize || s.SamePages != 32 || s.HugePages != 128 || s.Objects() != 288 {
		t.Errorf("stats %+v, want 320 pages stored, 32 same-filled, 128 huge", s)
	}
	if s.ComprDataSize < 128*PageSize || s.ComprDataSize > (128+80)*PageSize || s.MemUsedTotal < s.ComprDataSize {
		t.Errorf("stats %+v: 128 random pages and 160 of a heap", s)
	}
	if want := s.MemUsedTotal + 16*4096 + 8*288; s.MemoryBytes() != want {
		t.Errorf("MemoryBytes %d, want %d", s.MemoryBytes(), want)
	}
	must(t, d.ReadPages(0, got[:PageSize]))
	if !bytes.Equal(got[:PageSize], make([]byte, PageSize)) {
		t.Error("a page that was never written is not zero")
	}
}

// Discarded pages are gone, and compaction makes what is left smaller.
func TestDiscardCompact(t *testing.T) {
	const pages = 4096
	d := newDevice(t, "lz4", pages)
	b, got := newBuffer(t, pages), newBuffer(t, pages)
	fill(b, pagegen.Only(pagegen.Java), 0)
	must(t, d.WritePages(0, b))
	for page := int64(0); page < pages; page++ {
		if page%8 != 0 {
			must(t, d.Discard(page, 1))
			clear(b[page*PageSize:][:PageSize])
		}
	}
	freed, err := d.Stats()
	must(t, err)
	if freed.OrigDataSize != pages/8*PageSize {
		t.Errorf("%d bytes are stored after %d pages of %d were discarded", freed.OrigDataSize, pages-pages/8, pages)
	}
	must(t, d.Compact())
	compacted, err := d.Stats()
	must(t, err)
	if gone := (freed.MemUsedTotal - compacted.MemUsedTotal) / PageSize; gone <= 0 || gone != compacted.CompactedPgs {
		t.Errorf("compaction took the pool from %d to %d bytes, and says %d pages", freed.MemUsedTotal, compacted.MemUsedTotal, compacted.CompactedPgs)
	}
	must(t, d.ReadPages(0, got))
	if !bytes.Equal(got, b) {
		t.Error("pages that were not discarded changed, or others are still there")
	}
}

// Discarded pages are zeros, take no memory, and their neighbours are as they were.
func TestDiscard(t *testing.T) {
	d := newDevice(t, "lz4", 4096)
	b, got := newBuffer(t, 320), newBuffer(t, 320)
	fill(b, pagegen.Only(pagegen.Java), 0)
	must(t, d.WritePages(1000, b))
	must(t, d.Discard(1010, 300))
	must(t, d.Discard(0, 0))
	must(t, d.ReadPages(1000, got))
	clear(b[10*PageSize : 310*PageSize])
	if !bytes.Equal(got, b) {
		t.Error("the pages are not those that were left")
	}
	if s, err := d.Stats(); err != nil || s.OrigDataSize != 20*PageSize {
		t.Errorf("%+v, %v: want 20 pages stored", s, err)
	}
}

func TestSwap(t *testing.T) {
	d := newDevice(t, "lz4", 64)
	must(t, d.SwapOn(0))
	swaps, err := os.ReadFile("/proc/swaps")
	must(t, err)
	if !strings.Contains(string(swaps), d.Path()+" ") {
		t.Errorf("%s is not in /proc/swaps:\n%s", d.Path(), swaps)
	}
	must(t, d.Remove()) // with swap on
	must(t, d.Remove())
}

// A device that cannot be set up is not left behind.
func TestCreateCleansUp(t *testing.T) {
	needZRAM(t)
	_, err := Create("no-such-codec", 1<<20)
	if err == nil {
		t.Fatal("an unknown algorithm is taken")
	}
	_, rest, _ := strings.Cut(err.Error(), "/dev/")
	name, _, ok := strings.Cut(rest, ",")
	if _, stat := os.Stat("/sys/block/" + name); !ok || !errors.Is(stat, os.ErrNotExist) {
		t.Errorf("%v; then /sys/block/%s: %v", err, name, stat)
	}
}

func TestAlgorithms(t *testing.T) {
	if got := parseAlgorithms("lzo-rle lzo [lz4] zstd\n"); !slices.Equal(got, []string{"lz4", "lzo-rle", "lzo", "zstd"}) {
		t.Errorf("parseAlgorithms = %v", got)
	}
	needZRAM(t)
	if got, err := Algorithms(); err != nil || len(got) == 0 {
		t.Errorf("Algorithms() = %v, %v", got, err)
	}
}

func TestParseStats(t *testing.T) {
	s, err := parseStats("  1310720   531072   655360        0   655360       32        0      128      129\n")
	if err != nil || s.OrigDataSize != 1310720 || s.HugePagesEver != 129 || s.Objects() != 288 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "1 2 3", "1 2 3 4 5 6 x"} {
		if _, err := parseStats(bad); err == nil {
			t.Errorf("mm_stat %q is taken", bad)
		}
	}
}

// The next start removes the device of a run that was killed, as swap and before it became that, and nobody else's, whatever its number.
func TestCleanAfterKill(t *testing.T) {
	for _, c := range []struct{ ours, swap bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		needZRAM(t)
		state := t.TempDir()
		d, err := CreateRecorded(state, "lz4", 64*PageSize)
		must(t, err)
		if !c.ours { // the number is another one's now
			path := d.Path()
			record := d.record
			d.record = nil
			must(t, d.Remove())
			for tries := 0; ; tries++ {
				d, err = Create("lz4", 64*PageSize)
				must(t, err)
				if d.Path() == path {
					break
				}
				must(t, d.Remove()) // somebody was faster, and has it for a while
				if tries == 600 {
					t.Fatalf("%s is somebody else's, for a minute", path)
				}
				time.Sleep(100 * time.Millisecond)
			}
			d.record = record
		}
		if c.swap {
			must(t, d.SwapOn(0))
		}
		_ = d.file.Close() // what the kernel does when a process ends
		d.file = nil
		must(t, d.record.Release())
		d.record = nil
		report, err := swapdev.Clean(t.Context(), state, swapdev.CleanOptions{})
		must(t, err)
		_, gone := os.Stat(d.sysfs())
		_, used := swapdev.Block(d.Path()).Used()
		if c.ours != errors.Is(gone, os.ErrNotExist) || (c.swap && !c.ours) == errors.Is(used, swapdev.ErrOff) || c.ours != (len(report) > 0) {
			t.Errorf("%+v: %q, swap: %v, device: %v", c, report, used, gone)
		}
		d.removed = gone != nil
		must(t, d.Remove())
		if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
			t.Errorf("%+v: %v, %v", c, left, err)
		}
	}
}

// Before Linux 5.15 devices have no sequence number; ours is then the one with our label.
func TestCleanByLabel(t *testing.T) {
	for _, ours := range []bool{false, true} {
		d, state := newDevice(t, "lz4", 64), t.TempDir()
		r, err := swapdev.NewRun(state)
		must(t, err)
		d.Label = "somebody else's"
		if ours {
			d.Label = r.Label()
		}
		must(t, r.SetZRAM(d.Path()))
		file := filepath.Join(state, r.ID()+".json")
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, regexp.MustCompile(`,\s*"zram_sequence": \d+`).ReplaceAll(text, nil), 0o600))
		must(t, d.SwapOn(0))
		_ = d.file.Close()
		d.file = nil
		must(t, r.Release())
		report, err := swapdev.Clean(t.Context(), state, swapdev.CleanOptions{})
		must(t, err)
		_, gone := os.Stat(d.sysfs())
		if _, err := swapdev.Block(d.Path()).Used(); ours != errors.Is(err, swapdev.ErrOff) || ours != errors.Is(gone, os.ErrNotExist) || ours != (len(report) == 2) {
			t.Errorf("ours: %t; %q, swap: %v, device: %v", ours, report, err, gone)
		}
		d.removed = gone != nil
	}
}
