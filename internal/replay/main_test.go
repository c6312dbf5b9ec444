package replay

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/internal/swaptest"
	"github.com/zswapd/zswapd/internal/trace"
	"github.com/zswapd/zswapd/zpool"
)

func TestMain(m *testing.M) {
	unlock := swaptest.Lock() // zram devices are counted
	code := m.Run()
	unlock()
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const slots = 4096

// events are some seconds of swapping: runs of pages go out, come in and are freed, over and over.
func events(n int) (list []trace.Event) {
	r, source := rand.New(rand.NewPCG(1, 2)), pagegen.Source{Mix: pagegen.Typical}
	for i := range n {
		e := trace.Event{At: time.Duration(i) * 100 * time.Microsecond, Count: 1 + r.Uint64N(32)}
		e.First = r.Uint64N(slots - e.Count)
		switch r.IntN(10) {
		case 0, 1, 2, 3, 4:
			e.Op = trace.Store
			for p := range e.Count {
				page := make([]byte, trace.PageSize)
				source.Fill(page, e.First+p, uint64(i))
				e.Pages = append(e.Pages, page)
			}
		case 5, 6, 7, 8:
			e.Op = trace.Load
		case 9:
			e.Op = trace.Invalidate
			e.Count = min(e.Count*2, slots-e.First) // more than one player's
		}
		list = append(list, e)
	}
	return list
}

// file writes events as a trace and returns its path.
func file(t testing.TB, m trace.Meta, list []trace.Event) string {
	t.Helper()
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, m)
	must(t, err)
	for i := range list {
		must(t, w.Write(&list[i]))
	}
	must(t, w.Close())
	path := filepath.Join(t.TempDir(), "trace")
	must(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

func meta64() trace.Meta {
	return trace.Meta{Command: []string{"a", "test"}, Slots: slots, Compressor: "minlz", LimitBytes: 64 << 20, Pages: true}
}

func needZRAM(t *testing.T) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root"
	} else if _, err := os.Stat("/sys/class/zram-control"); err != nil {
		why = "no zram"
	}
	switch {
	case why == "":
	case os.Getenv("ZSWAPD_TEST_ROOT") == "required":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// liar is a pool in a map of which some calls do wrong.
type liar struct {
	pages map[uint64][]byte
	lie   func(op trace.Op, slot uint64) bool // true: the call does nothing, or a load brings something else
	fail  error
}

func (l *liar) Store(first uint64, src []byte) error {
	for i := uint64(0); len(src) > 0; i, src = i+1, src[zpool.PageSize:] {
		if l.lie == nil || !l.lie(trace.Store, first+i) {
			l.pages[first+i] = bytes.Clone(src[:zpool.PageSize])
		}
	}
	return l.fail
}

func (l *liar) Load(first uint64, dst []byte) error {
	for i := uint64(0); len(dst) > 0; i, dst = i+1, dst[zpool.PageSize:] {
		clear(dst[:zpool.PageSize])
		copy(dst, l.pages[first+i])
		if l.lie != nil && l.lie(trace.Load, first+i) {
			dst[77] ^= 1
		}
	}
	return l.fail
}

func (l *liar) Invalidate(first, n uint64) error {
	for i := range n {
		if l.lie == nil || !l.lie(trace.Invalidate, first+i) {
			delete(l.pages, first+i)
		}
	}
	return l.fail
}

func (l *liar) worker() trace.Pool      { return l }
func (l *liar) batch() uint64           { return 7 }
func (l *liar) close() error            { return nil }
func (l *liar) memory() (Memory, error) { return Memory{}, nil }

var errTest = errors.New("test")
