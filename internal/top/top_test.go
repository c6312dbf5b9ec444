package top

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/controltest"
)

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// screen is a model on a real daemon behind a real socket.
type screen struct {
	t *testing.T
	d *controltest.Daemon
	m Model
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	d := controltest.New(t, 4096, 2<<20)
	path := filepath.Join(t.TempDir(), "control.sock")
	server, err := control.Start(d, control.Options{Path: path})
	noErr(t, err)
	t.Cleanup(func() { noErr(t, server.Close()) })
	c := control.NewClient(path)
	t.Cleanup(c.Close)
	return &screen{t, d, New(c, time.Millisecond)}
}

// send gives the model a message, and carries out what it asks for; a tick is returned and not waited for.
func (s *screen) send(msg tea.Msg) tea.Msg {
	m, cmd := s.m.Update(msg)
	s.m = m.(Model)
	if cmd == nil {
		return nil
	}
	return cmd()
}

// look is a tick, and what comes of it.
func (s *screen) look() { s.send(s.send(tick{})) }

func (s *screen) key(r rune) { s.send(s.send(tea.KeyPressMsg{Code: r, Text: string(r)})) }

func (s *screen) shows(want ...string) {
	s.t.Helper()
	all := strings.Join(s.m.lines(), "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			s.t.Errorf("%q is not in\n%s", w, all)
		}
	}
}

func TestScreen(t *testing.T) {
	s := newScreen(t)
	s.shows("asking the daemon")
	s.send(s.m.Init()())
	s.shows("nothing is swapped out", "q quit")
	s.d.Traffic(t, 3000)
	s.look()
	s.d.Traffic(t, 1000)
	time.Sleep(10 * time.Millisecond)
	s.look()
	s.shows(" of memory holds ", "fuse on /dev/loop9", "fast minlz", "ratio ", "pages in /s", "a fault, median", "pages refused: the pool is at its limit")
	if n := len(s.m.history); n != 2 {
		t.Fatalf("%d samples after three looks", n)
	}
	if l := s.m.history[1]; l.in <= 0 || l.out < l.in || l.median <= 0 || l.slow < l.median || l.refused <= 0 || l.ratio <= 0 || l.memory != float64(s.d.Stats().MemoryBytes) {
		t.Errorf("sample %+v", l)
	}
	s.key('c')
	s.shows("compaction: moved ", " objects, freed ")
	s.key('w')
	s.shows("writeback: writeback: not supported: there is no backing file")
	s.d.Trouble("the disk is on fire")
	s.look()
	s.key('x')
	s.m.message = ""
	s.shows("the disk is on fire")
}

// Paused, nothing changes, and afterwards it goes on.
func TestPause(t *testing.T) {
	s := newScreen(t)
	s.look()
	s.d.Traffic(t, 1000)
	s.key('p')
	before := s.m.last.stats
	s.send(tick{})
	if after := s.m.last.stats; !reflect.DeepEqual(before, after) {
		t.Error("it looks while it is paused")
	}
	s.shows("PAUSED")
	s.key('p')
	s.look()
	if len(s.m.history) != 1 || s.m.last.stats.Stores == before.Stores {
		t.Errorf("%d samples, %d stores", len(s.m.history), s.m.last.stats.Stores)
	}
}

func TestQuit(t *testing.T) {
	for _, k := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		if _, ok := newScreen(t).send(k).(tea.QuitMsg); !ok {
			t.Errorf("%v does not quit", k)
		}
	}
}

// absent is a daemon that does not answer.
type absent struct{ Source }

func (absent) Info(context.Context) (control.Info, error) {
	return control.Info{}, control.ErrNoDaemon
}
func (absent) Compact(context.Context) (control.Work, error) {
	return control.Work{}, &control.Error{Code: 403, Message: "only root"}
}

// A daemon that goes away leaves the last picture, and its successor is compared with nothing.
func TestDaemonIsReplaced(t *testing.T) {
	s := newScreen(t)
	s.d.Traffic(t, 1000)
	s.look()
	real := s.m.source
	s.m.source = absent{real}
	s.look()
	s.shows("no zswapd is running", " of memory holds ")
	s.key('c')
	if !strings.Contains(s.m.message, "only root may ask for that") {
		t.Error(s.m.message)
	}
	s.m.source = real
	s.m.last.info.PID++ // it was another one
	s.look()
	if len(s.m.history) != 0 || s.m.failed != nil {
		t.Errorf("%d samples, %v", len(s.m.history), s.m.failed)
	}
	var now look
	before := look{at: time.Now(), stats: control.Stats{Stores: 10}}
	now.at, now.stats.Stores = before.at.Add(time.Second), 5
	if sm, _ := now.since(&before); sm.out != 0 {
		t.Errorf("a counter that went back gives %v", sm.out)
	}
}

// Whatever the terminal's size, the picture fits.
func TestItFits(t *testing.T) {
	s := newScreen(t)
	empty := s.m
	s.d.Traffic(t, 2000)
	for range 3 {
		s.look()
	}
	failed := s.m
	failed.failed = errors.New("a long\nstory " + strings.Repeat("of woe ", 100))
	failed.paused = true
	r := rand.New(rand.NewPCG(9, 10))
	for _, m := range []Model{empty, s.m, failed} {
		for i := range 400 {
			w, h := r.IntN(250), r.IntN(70)
			if i < 36 {
				w, h = i%6, i/6
			}
			next, _ := m.Update(tea.WindowSizeMsg{Width: w, Height: h})
			lines := next.(Model).lines()
			if len(lines) > h {
				t.Fatalf("%d×%d: %d lines", w, h, len(lines))
			}
			for _, l := range lines {
				if lipgloss.Width(l) > w || strings.Contains(l, "\n") {
					t.Fatalf("%d×%d: %q", w, h, l)
				}
			}
		}
	}
	s.m.width, s.m.height = 80, 24
	s.shows("ratio", "memory", "pages in /s", "pages out /s", "a fault, 99 %", "a fault, median", "compaction")
	if n := len(s.m.lines()); n != 24 {
		t.Errorf("%d lines of 24", n)
	}
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		values []float64
		most   float64
		want   string
	}{
		{nil, 0, "    /    "},
		{[]float64{0, 0}, 0, "    /    "},
		{[]float64{8, 4, 2, 1}, 8, "█   /██▄▂"},
		{[]float64{0.001, 8}, 8, "   █/  ▁█"},
		{[]float64{1, 1, 1, 1, 6}, 8, "   ▄/▂▂▂█"},
		{[]float64{9}, 8, "   █/   █"},
	} {
		if got := strings.Join(columns(c.values, 4, 2, c.most), "/"); got != c.want {
			t.Errorf("%v: %q, want %q", c.values, got, c.want)
		}
	}
	for share, want := range map[float64]string{0: "░░░░", 0.001: "█░░░", 0.5: "██░░", 1: "████", 7: "████", -1: "░░░░"} {
		if got := bar(share, 4); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}

// The history is bounded.
func TestHistory(t *testing.T) {
	var h history
	for i := range 5 * historyMost {
		h = h.with(sample{ratio: float64(i)})
	}
	if len(h) > historyMost || h[len(h)-1].ratio != 5*historyMost-1 {
		t.Errorf("%d samples, the last %v", len(h), h[len(h)-1].ratio)
	}
	if v := h.values(3, func(s *sample) float64 { return s.ratio }); len(v) != 3 || v[2] != 5*historyMost-1 || v[0] != v[2]-2 {
		t.Error(v)
	}
}
