package replay

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/zswapd/zswapd/internal/trace"
)

// A short file can store a great many pages that take nothing in a pool. What we note of each is no more than the pool's own table.
func TestManySlots(t *testing.T) {
	const many, each = 1 << 20, trace.MaxRun
	m, e := meta64(), trace.Event{Op: trace.Store, Count: each, Pages: make([][]byte, each)}
	for i := range e.Pages {
		e.Pages[i] = make([]byte, trace.PageSize)
	}
	m.Slots = many
	var list []trace.Event
	for e.First = 0; e.First < many; e.First += each {
		list = append(list, e)
	}
	path := file(t, m, list)
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > many/1000 {
		t.Errorf("a file of %d bytes", info.Size())
	}
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	var first, last int64
	r, err := Run(context.Background(), &Options{File: path, Threads: 1, Progress: func(_ string, done float64) {
		if last = heap(); first == 0 {
			first = last
		}
	}})
	must(t, err)
	// It is 8, and some of the pool's own in race builds, whose pool is in Go memory.
	if r.Systems[0].Store.Pages != many || (last-first)/many > 16 {
		t.Errorf("%d pages, and %d bytes of memory for each that was stored", r.Systems[0].Store.Pages, (last-first)/many)
	}
}

// A book is as a map of slots would be.
func TestBook(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b, want := book{}, map[uint64]uint64{}
	const slots = 20 * chunk
	for range 3000 {
		first := r.Uint64N(slots)
		switch n := min(1+r.Uint64N(1<<r.IntN(13)), slots-first); r.IntN(3) {
		case 0:
			b.clear(first, n)
			maps.DeleteFunc(want, func(slot, _ uint64) bool { return slot-first < n })
		case 1:
			b.clear(first, 1<<40) // far more than there is
			maps.DeleteFunc(want, func(slot, _ uint64) bool { return slot >= first })
		default:
			for slot := first; slot < first+n; slot++ {
				want[slot] = 1 + r.Uint64N(1000)
				b.set(slot, want[slot])
			}
		}
		for slot := range uint64(slots + 1) {
			if b.at(slot) != want[slot] {
				t.Fatalf("slot %d has %d, want %d", slot, b.at(slot), want[slot])
			}
		}
	}
}

// What a terminal would obey is not written to it, whatever a trace says that it is of.
func TestHostileCommand(t *testing.T) {
	m := meta64()
	m.Command = []string{"make", "\x1b]0;title\a\x1b[2J", "a b", "new\nline", "\u202eevil", "größe"}
	r, err := Run(context.Background(), &Options{File: file(t, m, events(1)), Threads: 1})
	must(t, err)
	var text bytes.Buffer
	must(t, r.WriteText(&text))
	head, _, _ := strings.Cut(strings.TrimPrefix(text.String(), "\n"), "\n")
	if want := `make "\x1b]0;title\a\x1b[2J" a b "new\nline" "\u202eevil" größe, recorded`; !strings.HasPrefix(head, want) {
		t.Errorf("%q", head)
	}
	if i := strings.IndexFunc(text.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q", text.String()[i:])
	}
	m.Compressor = "\x1b[31mrar"
	if _, err = Run(context.Background(), &Options{File: file(t, m, nil), Threads: 1}); err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

// The memory that zram takes for a device's slots, from the start, is the machine's to have.
func TestTableOfZRAM(t *testing.T) {
	needZRAM(t)
	s := system{kind: "zram", codec: "lzo-rle", slots: 1 << 20}
	for free, ok := range map[int64]bool{1 << 30: true, 32 << 20: true, 32<<20 - 2: false} {
		if err := s.available(free); (err == nil) != ok {
			t.Errorf("16 MiB of table, %d bytes free: %v", free, err)
		}
	}
}
