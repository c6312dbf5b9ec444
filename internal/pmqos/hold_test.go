package pmqos

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Each line: events that came and the time they took, then what the pace says.
func TestPace(t *testing.T) {
	p := pace{threshold: 1000, quiet: 30 * time.Millisecond}
	var events uint64
	for i, step := range []struct {
		events     uint64
		elapsed    time.Duration
		hold, rest bool
	}{
		{1, 10 * time.Millisecond, false, false},  // 100/s: below the threshold, but traffic
		{0, 10 * time.Millisecond, false, true},   // nothing came, nothing held
		{10, 10 * time.Millisecond, true, false},  // 1000/s: the threshold is enough
		{9, 10 * time.Millisecond, true, false},   // below, 10 ms
		{0, 10 * time.Millisecond, true, false},   // 20 ms
		{10, 10 * time.Millisecond, true, false},  // the quiet time starts again
		{3, 29 * time.Millisecond, true, false},   //
		{3, 10 * time.Millisecond, false, false},  // given up, but traffic: keep looking
		{0, 10 * time.Millisecond, false, true},   //
		{10, 20 * time.Millisecond, false, false}, // a late look: 500/s
	} {
		events += step.events
		rest := p.step(events, step.elapsed)
		if p.hold != step.hold || rest != step.rest {
			t.Fatalf("step %d: hold %v, rest %v; want %v, %v", i, p.hold, rest, step.hold, step.rest)
		}
	}
}

// newFile stands in for the device.
func newFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "latency")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func request(t *testing.T, path string) int32 {
	b, err := os.ReadFile(path)
	if err != nil || len(b) != 4 {
		t.Fatalf("request: % x, %v", b, err)
	}
	return int32(binary.NativeEndian.Uint32(b))
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestHoldFollowsTraffic(t *testing.T) {
	path := newFile(t)
	synctest.Test(t, func(t *testing.T) { // or a busy machine might miss the hold
		h, err := New(Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		for burst := range uint64(5) {
			if got := request(t, path); got != noRequest {
				t.Fatalf("burst %d: request %d µs before it, want none", burst, got)
			}
			h.Event()
			waitFor(t, "the hold", func() bool { return h.Stats().Holding })
			if got := request(t, path); got != 0 {
				t.Fatalf("burst %d: request %d µs, want 0", burst, got)
			}
			waitFor(t, "rest", func() bool { return h.resting.Load() })
			if s := h.Stats(); s.Raised != burst+1 || s.Events != burst+1 || s.Holding {
				t.Fatalf("after burst %d: %+v", burst, s)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatalf("second Close: %v", err)
		}
	})
}

// A wake-up must not be lost at the edge between looking and resting.
func TestHoldNeverMissesABurst(t *testing.T) {
	path := newFile(t)
	h, err := New(Options{Quiet: time.Nanosecond, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 50 {
		raised := h.Stats().Raised
		h.Event()
		waitFor(t, "the next hold", func() bool { return h.Stats().Raised > raised })
		waitFor(t, "the end of the hold", func() bool { return !h.Stats().Holding })
	}
}

func TestWithoutDevice(t *testing.T) {
	h, err := New(Options{Path: filepath.Join(t.TempDir(), "nothing here")})
	if err == nil || h == nil {
		t.Fatalf("New = %v, %v; want a Hold that does nothing, and the error", h, err)
	}
	h.Event()
	if s := h.Stats(); s.Events != 1 || s.Holding {
		t.Errorf("stats %+v", s)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestDisabledAndNil(t *testing.T) {
	h, err := New(Options{Disable: true, Path: "/nothing/here"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Hold{h, nil} {
		h.Event()
		if h.Stats().Holding {
			t.Error("holding")
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if h, err := New(Options{Threshold: -1, Quiet: -1}); h != nil || err == nil {
		t.Errorf("New with bad options = %v, %v", h, err)
	}
}

func TestEventDoesNotAllocate(t *testing.T) {
	h, err := New(Options{Path: newFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n := testing.AllocsPerRun(1000, h.Event); n != 0 {
		t.Fatalf("Event allocates %v times", n)
	}
}

func TestRealDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
			t.Fatal("needs root to open " + Device)
		}
		t.Skip("needs root to open " + Device)
	}
	if _, err := os.Stat(Device); err != nil {
		t.Skip(err)
	}
	current := func() int32 { // a second reader sees the strictest request of all processes
		return request(t, Device)
	}
	h, err := New(Options{Quiet: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if before := current(); before == 0 {
		t.Skip("another process holds 0")
	}
	waitFor(t, "0 in the device", func() bool { h.Event(); return current() == 0 }) // the hold of one event may be over when we look
	waitFor(t, "the end of the hold", func() bool { return !h.Stats().Holding })
}

func BenchmarkEvent(b *testing.B) {
	h, err := New(Options{Path: newFile(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	b.ReportAllocs()
	for b.Loop() {
		h.Event()
	}
}
