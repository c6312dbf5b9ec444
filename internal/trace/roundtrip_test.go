package trace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/machine"
)

const testSlots = 1 << 20

// randomEvents returns n events of all ops. Pages come again now and then, some from outside the window.
func randomEvents(r *rand.Rand, n int) (events []Event) {
	all := pages(r.Uint64(), 0, 3*windowPages/2)
	at := time.Duration(0)
	for i := range n {
		at += time.Duration(r.ExpFloat64() * 1e5)
		e := Event{Op: Op(1 + r.IntN(5)), At: at}
		switch e.Op {
		case Gap:
			e.Lost = Lost{1 + r.Uint64N(9), r.Uint64N(1 << 40), r.Uint64N(99), r.Uint64N(99)}
		default:
			e.Count = 1 + r.Uint64N(1<<r.IntN(9))
			e.First = r.Uint64N(testSlots - e.Count + 1)
			if r.IntN(2) == 0 { // where the one before ended, as reclaim does
				e.First = min(uint64(i), testSlots-e.Count)
			}
		}
		if e.Op == Store {
			start := r.IntN(len(all) - int(e.Count))
			e.Pages = all[start : start+int(e.Count)]
		}
		events = append(events, e)
	}
	return events
}

func TestRoundTrip(t *testing.T) {
	r := random(t)
	m := Meta{Began: time.Unix(1e9, 5).UTC(), Command: []string{"make", "test"}, Slots: testSlots, Compressor: "minlz", LimitBytes: 1 << 30, Pages: true, Machine: machine.Machine{Kernel: "6.x"}}
	events := randomEvents(r, 1000)
	file := write(t, m, events)
	got, all, err := readAll(file)
	must(t, err)
	if !reflect.DeepEqual(got, m) {
		t.Errorf("meta %+v, want %+v", got, m)
	}
	if len(all) != len(events)+1 || all[len(events)].Op != End {
		t.Fatalf("%d events, want %d and the end", len(all), len(events))
	}
	stored := 0
	for i := range events {
		if !reflect.DeepEqual(all[i], events[i]) {
			t.Fatalf("event %d of %v at slot %d differs from what was written", i, events[i].Op, events[i].First)
		}
		stored += len(events[i].Pages)
	}
	t.Logf("%d pages in %d bytes", stored, len(file))
}

// A page that was written lately is a reference; a trace of one page over and over takes hardly anything.
func TestPagesAreWrittenOnce(t *testing.T) {
	noise := make([]byte, PageSize)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	var events []Event
	for range 5000 {
		events = append(events, Event{Op: Store, First: 7, Count: 1, Pages: [][]byte{noise}})
	}
	if file := write(t, Meta{Slots: testSlots, Pages: true}, events); len(file) > 3*PageSize {
		t.Errorf("%d bytes", len(file))
	}
}

// Pages come again while they are in the window, and after they have left it.
func TestPagesComeAgain(t *testing.T) {
	const distinct = 3 * windowPages / 2
	order := make([]uint64, 0, 3*distinct)
	for i := range uint64(2 * distinct) {
		order = append(order, i%distinct)
	}
	for i := range uint64(distinct) {
		order = append(order, distinct-1-i)
	}
	var events []Event
	for i, n := range order {
		page := make([]byte, PageSize)
		binary.LittleEndian.PutUint64(page[100:], n)
		events = append(events, Event{Op: Store, First: uint64(i), Count: 1, Pages: [][]byte{page}})
	}
	_, all, err := readAll(write(t, Meta{Slots: testSlots, Pages: true}, events))
	must(t, err)
	for i, n := range order {
		if got := binary.LittleEndian.Uint64(all[i].Pages[0][100:]); got != n {
			t.Fatalf("store %d has page %d, want %d", i, got, n)
		}
	}
}

// Blocks that were written in a hurry are not compressed, and come back all the same.
func TestHurry(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, Meta{Slots: testSlots, Pages: true})
	must(t, err)
	want := pages(3, 0, 4000)
	for i, p := range want {
		w.hurry = i/100%2 == 0
		must(t, w.Write(&Event{Op: Store, First: uint64(i), Count: 1, Pages: [][]byte{p}}))
	}
	must(t, w.Close())
	_, all, err := readAll(b.Bytes())
	must(t, err)
	for i, p := range want {
		if !bytes.Equal(all[i].Pages[0], p) {
			t.Fatalf("page %d differs", i)
		}
	}
	if b.Len() < 4000*PageSize/4 || b.Len() > 4000*PageSize*9/10 {
		t.Errorf("%d bytes: want a part compressed", b.Len())
	}
}

// Without pages, nothing of them is in the file but what they compress to.
func TestSizesOnly(t *testing.T) {
	secret := bytes.Repeat([]byte("my password is 12345678; "), PageSize/25+1)[:PageSize]
	list := append(pages(9, 0, 100), secret, bytes.Repeat([]byte("8 bytes!"), PageSize/8))
	var events []Event
	for i, p := range list {
		events = append(events, Event{Op: Store, First: uint64(i), Count: 1, Pages: [][]byte{p}})
	}
	file := write(t, Meta{Slots: testSlots, Compressor: "none"}, events)
	for i := range len(secret) - 8 {
		if bytes.Contains(file, secret[i:i+8]) {
			t.Fatal("a part of a page is in the file")
		}
	}
	_, all, err := readAll(write(t, Meta{Slots: testSlots, Compressor: "minlz"}, events))
	must(t, err)
	if n := all[100].Sizes[0]; n < 25 || n > 200 {
		t.Errorf("25 bytes over and over compress to %d", n)
	}
	if n := all[101].Sizes[0]; n != 0 {
		t.Errorf("a same-filled page has %d bytes", n)
	}
}

// Cut off anywhere, a trace gives its whole blocks and says so.
func TestTruncated(t *testing.T) {
	r := random(t)
	events := randomEvents(r, 600)
	file := write(t, Meta{Slots: testSlots, Pages: true}, events)
	seen := map[int]bool{}
	for i := range 80 {
		n := r.IntN(len(file))
		if i < 40 {
			n = len(file) - 1 - i
		}
		_, all, err := readAll(file[:n])
		if !errors.Is(err, ErrTruncated) && (n > 1000 || !errors.Is(err, ErrFormat)) {
			t.Fatalf("%d bytes of %d: %v", n, len(file), err)
		}
		for i := range all {
			if !reflect.DeepEqual(all[i], events[i]) {
				t.Fatalf("%d bytes of %d: event %d differs", n, len(file), i)
			}
		}
		seen[len(all)] = true
	}
	if len(seen) < 3 {
		t.Errorf("only %d different lengths: the blocks are too large for this test", len(seen))
	}
}

// Any flipped bit is found, and what came before it is right.
func TestDamaged(t *testing.T) {
	r := random(t)
	events := randomEvents(r, 200)
	file := write(t, Meta{Slots: testSlots, Pages: true, Command: []string{"x"}}, events)
	for range 120 {
		at, bit := r.IntN(len(file)), byte(1)<<r.IntN(8)
		file[at] ^= bit
		_, all, err := readAll(file)
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrFormat) {
			t.Fatalf("bit %d of byte %d of %d: %v", bit, at, len(file), err)
		}
		for i := range all {
			if !reflect.DeepEqual(all[i], events[i]) {
				t.Fatalf("bit %d of byte %d of %d: event %d differs", bit, at, len(file), i)
			}
		}
		file[at] ^= bit
	}
}

func TestNotATrace(t *testing.T) {
	good := write(t, Meta{Slots: testSlots, Pages: true}, nil)
	newer := bytes.Replace(good, []byte{1, 0, 0, 0}, []byte{2, 0, 0, 0}, 1)
	for what, c := range map[string]struct {
		file []byte
		want error
		says string
	}{
		"empty":          {nil, ErrFormat, "header"},
		"text":           {[]byte(strings.Repeat("text ", 99)), ErrFormat, ""},
		"newer":          {newer, ErrFormat, "version 2"},
		"more after it":  {append(bytes.Clone(good), 'x'), ErrCorrupt, "follows its end"},
		"no slots":       {write(t, Meta{Pages: true}, nil), ErrCorrupt, "0 slots"},
		"too many slots": {write(t, Meta{Slots: 1 << 50, Compressor: "none"}, nil), ErrCorrupt, "slots"},
	} {
		if _, _, err := readAll(c.file); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A command too long for the header is cut to its name.
func TestLongCommand(t *testing.T) {
	m, _, err := readAll(write(t, Meta{Slots: 1, Pages: true, Command: []string{"ls", strings.Repeat("x", maxMeta)}}, nil))
	must(t, err)
	if text, _ := json.Marshal(m.Command); string(text) != `["ls"]` {
		t.Errorf("%.100s", text)
	}
}
