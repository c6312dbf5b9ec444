package arena

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// eachKind runs a test on both kinds of arena; the mapped one not under the race detector, which cannot see it.
func eachKind(t *testing.T, test func(t *testing.T, make func(size, limit int64) *Arena)) {
	run := func(name string, open func(size int64, b *Budget) *Arena) {
		t.Run(name, func(t *testing.T) {
			test(t, func(size, limit int64) *Arena {
				b := NewBudget(limit)
				a := open(size, b)
				t.Cleanup(func() {
					if err := a.Close(); err != nil {
						t.Error(err)
					}
					if b.Used() != 0 {
						t.Errorf("%d bytes of the budget leaked", b.Used())
					}
				})
				return a
			})
		})
	}
	run("heap", newHeap)
	run("mapped", func(size int64, b *Budget) *Arena {
		a, err := newMapped("arena-test", size, b)
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommitReleaseReadsZerosAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, open func(size, limit int64) *Arena) {
		a := open(8<<20, 1<<20)
		must(t, a.Commit(3<<20, 2*FrameSize))
		copy(a.Bytes(3<<20, 8), "abcdefgh")
		a.Word(3<<20 + FrameSize).Store(42)
		if got := *At[[2]uint32](a, 3<<20+FrameSize); got != [2]uint32{42, 0} {
			t.Errorf("At = %v", got)
		}
		if a.Budget().Used() != 2*FrameSize {
			t.Errorf("used %d, want two frames", a.Budget().Used())
		}
		must(t, a.Release(3<<20, 2*FrameSize))
		must(t, a.Commit(3<<20, FrameSize))
		if !bytes.Equal(a.Bytes(3<<20, FrameSize), make([]byte, FrameSize)) {
			t.Error("a released frame came back with its old bytes")
		}
		if a.Budget().Used() != FrameSize || a.Budget().Peak() != 2*FrameSize {
			t.Errorf("used %d, peak %d", a.Budget().Used(), a.Budget().Peak())
		}
	})
}

func TestLimitIsHard(t *testing.T) {
	eachKind(t, func(t *testing.T, open func(size, limit int64) *Arena) {
		a := open(1<<20, 3*FrameSize)
		must(t, a.Commit(0, 2*FrameSize))
		if err := a.Commit(2*FrameSize, 2*FrameSize); !errors.Is(err, ErrLimit) {
			t.Fatalf("commit beyond the limit: %v, want ErrLimit", err)
		}
		if a.Budget().Used() != 2*FrameSize {
			t.Errorf("a refused commit took %d bytes", a.Budget().Used()-2*FrameSize)
		}
		must(t, a.Commit(2*FrameSize, FrameSize))
		a.Budget().SetLimit(FrameSize)
		if err := a.Commit(3*FrameSize, FrameSize); !errors.Is(err, ErrLimit) {
			t.Fatalf("commit under a lowered limit: %v", err)
		}
	})
}

func TestResidentAndDiscard(t *testing.T) {
	eachKind(t, func(t *testing.T, open func(size, limit int64) *Arena) {
		a := open(4<<20, 1<<20)
		must(t, a.Commit(0, FrameSize))
		must(t, a.Commit(2*FrameSize, 3*FrameSize))
		must(t, a.Commit(3<<20, FrameSize))
		list := func() (got [][2]int64) {
			must(t, a.Resident(0, a.Size(), func(off, n int64) { got = append(got, [2]int64{off / FrameSize, n / FrameSize}) }))
			return got
		}
		if got := list(); len(got) != 3 || got[0] != [2]int64{0, 1} || got[1] != [2]int64{2, 3} || got[2] != [2]int64{768, 1} {
			t.Fatalf("resident frames %v", got)
		}
		must(t, a.Discard(3*FrameSize, 3<<20-3*FrameSize))
		if got := list(); len(got) != 3 || got[1] != [2]int64{2, 1} {
			t.Fatalf("resident frames after Discard %v", got)
		}
		if a.Budget().Used() != 3*FrameSize {
			t.Errorf("used %d, want three frames", a.Budget().Used())
		}
	})
}

// What one arena wrote, an arena opened on the same file finds; the budget counts it.
func TestOpenFindsWhatIsThere(t *testing.T) {
	b := NewBudget(1 << 20)
	a, err := newMapped("arena-test", 4<<20, b)
	must(t, err)
	defer a.Close()
	must(t, a.Commit(1<<20, FrameSize))
	copy(a.Bytes(1<<20, 5), "hello")
	fd, err := unix.FcntlInt(a.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	b2 := NewBudget(0)
	a2, err := Open(os.NewFile(uintptr(fd), "dup"), b2)
	must(t, err)
	defer a2.Close()
	if string(a2.Bytes(1<<20, 5)) != "hello" || b2.Used() != FrameSize {
		t.Errorf("found %q, budget %d", a2.Bytes(1<<20, 5), b2.Used())
	}
}

func TestOpenRefusesForeignFiles(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} { // the latter is memory, too, but its files have names
		f, err := os.CreateTemp(dir, "arena-test-")
		must(t, err)
		defer func() { must(t, errors.Join(f.Close(), os.Remove(f.Name()))) }()
		for _, size := range []int64{0, 12345, 1 << 20} {
			must(t, f.Truncate(size))
			if a, err := Open(f, NewBudget(1<<20)); err == nil {
				a.Close()
				t.Errorf("a plain file of %d bytes in %s was opened as an arena", size, dir)
			}
		}
	}
}

// The heap twin exists to catch what the mapped arena would let pass in silence.
func TestHeapTwinCatchesTouchesOfHoles(t *testing.T) {
	a := newHeap(1<<20, NewBudget(1<<20))
	must(t, a.Commit(0, FrameSize))
	for name, touch := range map[string]func(){
		"hole":      func() { a.Bytes(FrameSize, 1) },
		"run over":  func() { a.Bytes(FrameSize-1, 2) },
		"word":      func() { a.Word(2 * FrameSize) },
		"outside":   func() { a.Bytes(1<<20, 1) },
		"committed": func() { _ = a.Commit(0, FrameSize) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			touch()
		}()
	}
}

// Frames are had and given back in batches because one by one costs several times as much per frame.
func BenchmarkCommitRelease(b *testing.B) {
	for _, frames := range []int64{1, 4, 16, 64} {
		b.Run("frames="+string(rune('0'+frames/10))+string(rune('0'+frames%10)), func(b *testing.B) {
			a, err := newMapped("arena-bench", 1<<30, NewBudget(1<<30))
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			for i := range b.N {
				off := int64(i) % 1024 * 64 * FrameSize
				if err := errors.Join(a.Commit(off, frames*FrameSize), a.Release(off, frames*FrameSize)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(int64(b.N)*frames), "ns/frame")
		})
	}
}

// After MapTables nothing that is resident takes a page table when it is touched, wherever the mapping begins.
func TestMapTables(t *testing.T) {
	const size = 64 << 20
	a, err := newMapped("arena-test", size, NewBudget(size))
	must(t, err)
	defer a.Close()
	for off := int64(0); off < size; off += 8 << 20 { // four, and a hole of four
		must(t, a.Commit(off, 4<<20))
	}
	fd, err := unix.FcntlInt(a.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	m := &mapped{f: os.NewFile(uintptr(fd), "copy")}
	defer m.f.Close()
	touched := 0
	for at := int64(0); at < tableBytes; at += tableBytes / 4 {
		room, err := unix.Mmap(-1, 0, size+2*tableBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		must(t, err)
		first := (tableBytes-numberOf(room)%tableBytes)%tableBytes + at
		mapFixed(t, room[first:first+size], fd)
		m.mem = room[first:][:size:size]
		must(t, m.mapTables())
		before := tableKiB(t)
		must(t, m.resident(0, size, func(off, n int64) {
			for end := off + n; off < end; off += FrameSize {
				touched += int(m.mem[off])
			}
		}))
		// The Go heap may have grown by a table of its own meanwhile; ours would be one for each of eight parts.
		if after := tableKiB(t); after > before+4 {
			t.Errorf("%d KiB behind a multiple of what a page table maps: %d KiB of page tables, and %d when all is touched", at>>10, before, after)
		}
		must(t, unix.Munmap(room))
	}
	if touched != 0 {
		t.Error("not zeros")
	}
}

func tableKiB(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "VmPTE:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
