package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/run"
	"github.com/zswapd/zswapd/internal/trace"
)

// A trace is replayed, on one thread and on several, at full speed and as recorded: the pages that went through and what is
// held at the end are the same each time, and all come back right.
func TestReplay(t *testing.T) {
	list := events(1500)
	path := file(t, meta64(), list)
	var want tally
	want.add(list)
	held := map[uint64]bool{}
	for _, e := range list {
		for slot := e.First; slot < e.First+e.Count; slot++ {
			switch e.Op {
			case trace.Store:
				held[slot] = true
			case trace.Invalidate:
				delete(held, slot)
			}
		}
	}
	for _, o := range []Options{{Threads: 1}, {Threads: 3}, {Threads: 2, Recorded: true}, {Threads: 1, Codec: "zstd", Against: []string{"pool:lz4"}}} {
		o.File = path
		r, err := Run(context.Background(), &o)
		must(t, err)
		if len(r.Systems) != 1+len(o.Against) || r.Trace.Stored != want.stored || r.Trace.Loaded != want.loaded || r.Trace.Invalidated != want.invalidated || r.Trace.Problem != "" {
			t.Errorf("%+v: %+v", o, r.Trace)
		}
		for _, s := range r.Systems {
			if s.Store.Pages != want.stored || s.Load.Pages != want.loaded || s.Wrong+s.Refused != 0 {
				t.Errorf("%+v: %+v", o, s)
			}
			last := s.Samples[len(s.Samples)-1].Memory
			if last.StoredPages != int64(len(held)) || s.Peak.StoredPages < last.StoredPages || s.Ratio < 1.5 || s.PeakBytes < s.Peak.MemoryBytes {
				t.Errorf("%+v: %d pages are held, want %d; %+v", o, last.StoredPages, len(held), s.Peak)
			}
		}
	}
}

// At the recorded speed nothing is done before its time, and what is late is told.
func TestRecordedSpeed(t *testing.T) {
	list := events(20)
	for i := range list {
		list[i].At = time.Duration(i) * 20 * time.Millisecond
	}
	began := time.Now()
	r, err := Run(context.Background(), &Options{File: file(t, meta64(), list), Threads: 2, Recorded: true})
	must(t, err)
	if took := time.Since(began); took < list[19].At {
		t.Errorf("%v took %v", list[19].At, took)
	}
	if late := r.Systems[0].LateSeconds; late <= 0 || late > 60 {
		t.Errorf("%v s late", late)
	}
}

// devices counts zram devices of the size that a replay of a test makes.
func devices(t *testing.T) (n int) {
	t.Helper()
	sizes, err := filepath.Glob("/sys/block/zram*/size")
	must(t, err)
	for _, f := range sizes {
		if text, _ := os.ReadFile(f); strings.TrimSpace(string(text)) == fmt.Sprint(slots*8) {
			n++
		}
	}
	return n
}

func TestReplayInZRAM(t *testing.T) {
	needZRAM(t)
	path, before := file(t, meta64(), events(1000)), devices(t)
	r, err := Run(context.Background(), &Options{File: path, Threads: 2, Against: []string{"zram:lz4"}})
	must(t, err)
	a, b := r.Systems[0], r.Systems[1]
	if b.Name != "zram:lz4" || b.Store.Pages != a.Store.Pages || b.Load.Pages != a.Load.Pages || b.Wrong != 0 || b.Ratio < 1.2 {
		t.Errorf("%+v", b)
	}
	pages := func(s System) int64 { return s.Samples[len(s.Samples)-1].Memory.StoredPages }
	if pages(a) != pages(b) {
		t.Errorf("%d pages are in the pool, %d in zram", pages(a), pages(b))
	}
	if left := devices(t); left > before {
		t.Errorf("%d zram devices are left behind", left-before)
	}
	_, err = Run(context.Background(), &Options{File: path, Threads: 1, Against: []string{"zram:nonsense"}})
	if usage := (run.UsageError{}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "lz4") {
		t.Errorf("an algorithm that is none: %v", err)
	}
}

// lying replays events on a player whose pool lies, and returns how many pages were found wrong.
func lying(t *testing.T, l *liar, list []trace.Event) (p *player, err error) {
	t.Helper()
	l.pages = map[uint64][]byte{}
	p, err = newPlayer(l, 0, 1, nil, nil, maphash.MakeSeed())
	must(t, err)
	defer p.free()
	return p, p.play(context.Background(), list)
}

// Whatever a pool does wrong to a page is found when it is loaded.
func TestWrongPagesAreFound(t *testing.T) {
	list := events(500)
	if p, err := lying(t, &liar{}, list); err != nil || p.wrong != 0 {
		t.Fatalf("an honest pool: %d wrong, %v", p.wrong, err)
	}
	for _, op := range []trace.Op{trace.Store, trace.Load, trace.Invalidate} {
		n := 0
		p, err := lying(t, &liar{lie: func(o trace.Op, _ uint64) bool {
			if o == op {
				n++
			}
			return o == op && n%50 == 0
		}}, list)
		if err != nil || p.wrong == 0 || !strings.Contains(p.first, "slot") {
			t.Errorf("op %d: %d wrong, %v", op, p.wrong, err)
		}
	}
	for _, op := range []trace.Op{trace.Store, trace.Load, trace.Invalidate} {
		only := []trace.Event{{Op: op, First: 1, Count: 1, Pages: list[0].Pages}}
		if op == trace.Store {
			only[0].Pages = [][]byte{make([]byte, trace.PageSize)}
		}
		if _, err := lying(t, &liar{fail: errTest}, only); !errors.Is(err, errTest) {
			t.Errorf("op %d fails: %v", op, err)
		}
	}
}

// A pool that is too small refuses pages; they are counted, and what is there is still right.
func TestPoolTooSmall(t *testing.T) {
	r, err := Run(context.Background(), &Options{File: file(t, meta64(), events(1000)), Threads: 2, PoolLimit: 2 << 20})
	must(t, err)
	s := r.Systems[0]
	if s.Refused == 0 || s.Store.Pages+s.Refused != r.Trace.Stored || s.Wrong != 0 || s.PeakBytes > 2<<20 {
		t.Errorf("%+v", s)
	}
}

// A trace that is cut off is replayed as far as it goes, and the report says so; of one that is damaged the error does.
func TestBrokenTraces(t *testing.T) {
	path := file(t, meta64(), events(800))
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, b[:len(b)*2/3], 0o600))
	r, err := Run(context.Background(), &Options{File: path, Threads: 1})
	must(t, err)
	var text strings.Builder
	must(t, r.WriteText(&text))
	if r.Trace.Stored == 0 || !strings.Contains(text.String(), "cut off") || r.Systems[0].Store.Pages != r.Trace.Stored {
		t.Errorf("%+v\n%s", r.Trace, text.String())
	}
	b[len(b)*2/3] ^= 4
	must(t, os.WriteFile(path, b, 0o600))
	r, err = Run(context.Background(), &Options{File: path, Threads: 1})
	if r == nil || !errors.Is(err, trace.ErrCorrupt) || r.Trace.Stored == 0 || r.Trace.Problem == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A trace without pages is replayed with pages that compress alike: the ratio is that of the pages themselves.
func TestSizesStandForPages(t *testing.T) {
	list, m := events(600), meta64()
	with, err := Run(context.Background(), &Options{File: file(t, m, list), Threads: 1})
	must(t, err)
	m.Pages = false
	without, err := Run(context.Background(), &Options{File: file(t, m, list), Threads: 1})
	must(t, err)
	end := func(r *Report) Memory { s := r.Systems[0].Samples; return s[len(s)-1].Memory }
	a, b := end(with), end(without)
	if math.Abs(float64(a.CompressedBytes)/float64(b.CompressedBytes)-1) > 0.02 || a.StoredPages != b.StoredPages || without.Systems[0].Wrong != 0 {
		t.Errorf("with pages %+v, without %+v", a, b)
	}
	if a.SameFilledPages != b.SameFilledPages || a.IncompressiblePages != b.IncompressiblePages {
		t.Errorf("%+v, %+v", a, b)
	}
	if b.SameFilledPages == 0 || b.IncompressiblePages == 0 {
		t.Error("the trace was to have same-filled and incompressible pages")
	}
}

func TestInterrupted(t *testing.T) {
	list := events(200)
	for i := range list {
		list[i].At = time.Duration(i) * time.Minute
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errTest) })
	r, err := Run(ctx, &Options{File: file(t, meta64(), list), Threads: 2, Recorded: true})
	if r != nil || !errors.Is(err, errTest) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestUsage(t *testing.T) {
	good := file(t, meta64(), nil)
	notes := t.TempDir() + "/notes"
	must(t, os.WriteFile(notes, bytes.Repeat([]byte("no trace\n"), 20), 0o600))
	for says, o := range map[string]Options{
		"--threads 0":           {File: good},
		"--threads 65":          {File: good, Threads: 65},
		"no such file":          {File: good + "x", Threads: 1},
		"no trace of zswapd":    {File: notes, Threads: 1},
		"is no trace":           {File: t.TempDir(), Threads: 1},
		"--codec":               {File: good, Threads: 1, Codec: "rar"},
		"--against":             {File: good, Threads: 1, Against: []string{"disk"}},
		"pool:rar":              {File: good, Threads: 1, Against: []string{"pool:rar"}},
		"--pool-limit 4 KiB":    {File: good, Threads: 1, PoolLimit: 4096},
		"--pool-limit 1024 PiB": {File: good, Threads: 1, PoolLimit: 1 << 60},
	} {
		_, err := Run(context.Background(), &o)
		if usage := (run.UsageError{}); !errors.As(err, &usage) || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
}

// A trace of nothing has a report of nothing, in each form; the forms of a real one can be read.
func TestReports(t *testing.T) {
	for _, n := range []int{0, 800} {
		o := Options{File: file(t, meta64(), events(n)), Threads: 1, Against: []string{"pool:lz4"}}
		r, err := Run(context.Background(), &o)
		must(t, err)
		var text, html, js bytes.Buffer
		must(t, errors.Join(r.WriteText(&text), r.WriteHTML(&html, []string{"zswapd", "bench"}), r.WriteJSON(&js)))
		var back Report
		must(t, json.Unmarshal(js.Bytes(), &back))
		if back.Version != 1 || len(back.Systems) != 2 || back.Systems[1].Name != "pool:lz4" || back.Systems[0].Store.Pages != r.Trace.Stored {
			t.Errorf("%s", js.Bytes())
		}
		if !strings.Contains(text.String(), "pool:lz4") || strings.Count(html.String(), "<figure") != 7 {
			t.Errorf("%s", text.String())
		}
		if n > 0 && !strings.Contains(html.String(), "99.9 %") {
			t.Error("no distribution of times")
		}
	}
}

// The lines of the table begin and end together, whatever the letters.
func TestTableIsStraight(t *testing.T) {
	r := &Report{Speed: "max", Systems: []System{{Name: "pool:minlz"}, {Name: "zram:lz4", Store: Times{Mean: 1234}, PeakBytes: 1 << 33}}}
	var b strings.Builder
	r.table(&b)
	width := 0
	for line := range strings.Lines(strings.TrimLeft(b.String(), "\n")) {
		n := len([]rune(line))
		if width == 0 {
			width = n
		}
		if n != width {
			t.Errorf("%d letters, want %d: %q", n, width, line)
		}
	}
}

func TestThin(t *testing.T) {
	var all []Sample
	for i := range 1001 {
		all = append(all, Sample{At: float64(i)})
	}
	few := thin(all, 100)
	if len(few) != 100 || few[99].At != 1000 {
		t.Errorf("%d, the last %v", len(few), few[len(few)-1].At)
	}
	if len(thin(all[:50], 100)) != 50 {
		t.Error("few are fewer")
	}
}
