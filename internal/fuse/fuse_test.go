package fuse

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/histogram"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 = a new one")

// seed returns the seed of a random test and prints how to run it again.
func seed(t testing.TB) uint64 {
	n := *seedFlag
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("go test -run %s -seed=%d", t.Name(), n)
	return n
}

// needRoot skips a test that mounts, or fails it where such tests must run.
func needRoot(t testing.TB) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root to mount"
	} else if _, err := os.Stat("/dev/fuse"); err != nil {
		why = "needs /dev/fuse"
	}
	if why == "" {
		return
	}
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// brief prints the counters without the histograms.
func brief(s Stats) string {
	s.Load, s.Store = histogram.Snapshot{}, histogram.Snapshot{}
	return regexp.MustCompile(` (Load|Store):{[^}]*}`).ReplaceAllString(fmt.Sprintf("%+v", s), "")
}

// memory is a Store of plain pages.
type memory struct {
	mu    sync.Mutex
	pages map[uint64][]byte
	load  func(first uint64) error // called before a load, without mu
	store func(first uint64) error // the same for a store
}

func newMemory() *memory { return &memory{pages: map[uint64][]byte{}} }

func (m *memory) Load(first uint64, dst []byte) error {
	if m.load != nil {
		if err := m.load(first); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; len(dst) > 0; first, dst = first+1, dst[pageBytes:] {
		if page, ok := m.pages[first]; ok {
			copy(dst, page)
		} else {
			clear(dst[:pageBytes])
		}
	}
	return nil
}

func (m *memory) Store(first uint64, src []byte) error {
	if m.store != nil {
		if err := m.store(first); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; len(src) > 0; first, src = first+1, src[pageBytes:] {
		m.pages[first] = bytes.Clone(src[:pageBytes])
	}
	return nil
}

func (m *memory) Invalidate(first, n uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		delete(m.pages, first+i)
	}
	return nil
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pages)
}

// mount serves store until the test ends.
func mount(t testing.TB, store Store, cfg Config) *Server {
	t.Helper()
	needRoot(t)
	if cfg.URing {
		offerURing(t)
	}
	cfg.NewStore = func() Store { return store }
	s, err := Mount(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.URing(); cfg.URing && err != nil {
		closeInTime(t, s)
		t.Fatal(err)
	}
	t.Cleanup(func() { closeInTime(t, s) })
	return s
}

// closeInTime closes the server and fails the test if that hangs.
func closeInTime(t testing.TB, s *Server) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close hangs")
	}
}

// alignedBuffer returns bytes that O_DIRECT takes.
func alignedBuffer(t testing.TB, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// fill makes the bytes of page index in version of the model.
func fill(b []byte, index, version uint64) {
	r := rand.New(rand.NewPCG(index, version))
	for i := 0; i < len(b); i += 8 {
		native.PutUint64(b[i:], r.Uint64())
	}
}

func TestRoundTrip(t *testing.T) {
	const pages = 4096
	store := newMemory()
	s := mount(t, store, Config{Pages: pages, SpinMax: 50 * time.Microsecond})
	f := s.File()
	if st, err := f.Stat(); err != nil || st.Size() != pages*pageBytes {
		t.Fatalf("size %v, %v", st, err)
	}
	src, dst := alignedBuffer(t, 2<<20), alignedBuffer(t, 2<<20)
	for i, n := range []int{1, 2, 3, 7, 31, 32, 33, 127, 255, 256, 257, 300, 511, 512} {
		t.Run(fmt.Sprintf("pages=%d", n), func(t *testing.T) {
			at := int64(i) * 37 * pageBytes
			for p := range n {
				fill(src[p*pageBytes:(p+1)*pageBytes], uint64(p), uint64(i))
			}
			if got, err := f.WriteAt(src[:n*pageBytes], at); err != nil || got != n*pageBytes {
				t.Fatalf("write: %d, %v", got, err)
			}
			clear(dst)
			if got, err := f.ReadAt(dst[:n*pageBytes], at); err != nil || got != n*pageBytes {
				t.Fatalf("read: %d, %v", got, err)
			}
			if !bytes.Equal(src[:n*pageBytes], dst[:n*pageBytes]) {
				t.Fatal("read back other bytes")
			}
		})
	}
	if err := f.Sync(); err != nil {
		t.Errorf("sync: %v", err)
	}
	st := s.Stats()
	if st.ReadPages != st.WrittenPages || st.ReadPages == 0 || !st.Resend {
		t.Error(brief(st))
	}
	if st.Malformed+st.ReplyErrors+st.ReadErrors+st.WriteErrors != 0 {
		t.Error(brief(st))
	}
}
