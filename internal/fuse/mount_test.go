package fuse

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// client is one user of a range of pages of the file, with the model of what it must hold.
type client struct {
	f       *os.File
	r       *rand.Rand
	first   uint64
	version []uint64 // of each page; 0 = zeros
	buf     []byte   // aligned
	want    []byte
}

const clientPages = 512

func newClient(t testing.TB, f *os.File, seed, index uint64) *client {
	return &client{
		f: f, r: rand.New(rand.NewPCG(seed, index)), first: index * clientPages,
		version: make([]uint64, clientPages), buf: alignedBuffer(t, maxBytes), want: make([]byte, pageBytes),
	}
}

// step does one random operation and checks what it returns.
func (c *client) step(op uint64) error {
	at := c.r.IntN(clientPages)
	n := 1 + c.r.IntN(min(clientPages-at, 1<<c.r.IntN(9)))
	b, off := c.buf[:n*pageBytes], int64(c.first+uint64(at))*pageBytes
	switch kind := c.r.IntN(100); {
	case kind < 45:
		return c.check(at, n)
	case kind < 95:
		for i := range n {
			c.version[at+i] = op + 1
			fill(b[i*pageBytes:(i+1)*pageBytes], c.first+uint64(at+i), op+1)
		}
		if got, err := unix.Pwrite(int(c.f.Fd()), b, off); got != len(b) || err != nil {
			return fmt.Errorf("op %d: write of %d pages at %d: %d, %w", op, n, at, got, err)
		}
	default:
		clear(c.version[at : at+n])
		if err := unix.Fallocate(int(c.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, int64(len(b))); err != nil {
			return fmt.Errorf("op %d: discard of %d pages at %d: %w", op, n, at, err)
		}
	}
	return nil
}

// check reads n pages at page at and compares them with the model.
func (c *client) check(at, n int) error {
	b := c.buf[:n*pageBytes]
	if got, err := unix.Pread(int(c.f.Fd()), b, int64(c.first+uint64(at))*pageBytes); got != len(b) || err != nil {
		return fmt.Errorf("read of %d pages at %d: %d, %w", n, at, got, err)
	}
	for i := range n {
		clear(c.want)
		if v := c.version[at+i]; v > 0 {
			fill(c.want, c.first+uint64(at+i), v)
		}
		if !bytes.Equal(c.want, b[i*pageBytes:(i+1)*pageBytes]) {
			return fmt.Errorf("page %d: wrong bytes, want version %d", c.first+uint64(at+i), c.version[at+i])
		}
	}
	return nil
}

// runClients does steps operations with each client at once, and checks everything at the end.
func runClients(t *testing.T, f *os.File, seed uint64, clients, steps int) {
	var wg sync.WaitGroup
	for i := range clients {
		c := newClient(t, f, seed, uint64(i))
		wg.Go(func() {
			for op := range steps {
				if err := c.step(uint64(op)); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
			for at := 0; at < clientPages; at += maxPages {
				if err := c.check(at, maxPages); err != nil {
					t.Errorf("client %d, at the end: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// The same operations give the same pages, whatever the knobs.
func TestParallelModel(t *testing.T) {
	const clients = 6
	seed := seed(t)
	for _, cfg := range []Config{
		{Threads: 1},
		{Threads: 2, SpinMax: 50 * time.Microsecond},
		{Threads: 8, SpinMax: time.Millisecond},
		{Threads: 3},
		{URing: true},
	} {
		t.Run(fmt.Sprintf("threads=%d/spin=%v/uring=%v", cfg.Threads, cfg.SpinMax, cfg.URing), func(t *testing.T) {
			cfg.Pages = clients * clientPages
			s := mount(t, newMemory(), cfg)
			runClients(t, s.File(), seed, clients, 150)
			if st := s.Stats(); st.ReadErrors+st.WriteErrors+st.DiscardErrors+st.Malformed+st.ReplyErrors > 0 {
				t.Error(brief(st))
			}
		})
	}
}

func TestDiscard(t *testing.T) {
	store := newMemory()
	s := mount(t, store, Config{Pages: 1024})
	b := alignedBuffer(t, 64*pageBytes)
	fill(b, 1, 1)
	if _, err := s.File().WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	fd := int(s.File().Fd())
	if err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 8*pageBytes, 16*pageBytes); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 32*pageBytes, 4*pageBytes); err != nil {
		t.Fatal(err)
	}
	if store.len() != 64-16-4 {
		t.Errorf("%d pages left, want %d", store.len(), 64-16-4)
	}
	got := alignedBuffer(t, 64*pageBytes)
	if _, err := s.File().ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	clear(b[8*pageBytes : 24*pageBytes])
	clear(b[32*pageBytes : 36*pageBytes])
	if !bytes.Equal(b, got) {
		t.Error("read back other bytes")
	}
	if err := unix.Fallocate(fd, 0, 0, pageBytes); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("fallocate without a mode: %v", err)
	}
	if err := s.File().Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Bsize != pageBytes {
		t.Errorf("block size %d, %v", fs.Bsize, err)
	}
	if st := s.Stats(); st.Discards != 2 || st.DiscardedPages != 20 {
		t.Error(brief(st))
	}
}

// One page that cannot be loaded fails the whole request around it; a short answer would pass for data.
func TestStoreErrorIsEIO(t *testing.T) {
	store := newMemory()
	bad := func(uint64) error { return errors.New("broken") }
	store.load, store.store = bad, bad
	s := mount(t, store, Config{Pages: 1024})
	b := alignedBuffer(t, 32*pageBytes)
	for _, n := range []int{1, 32} {
		if got, err := unix.Pread(int(s.File().Fd()), b[:n*pageBytes], 0); !errors.Is(err, unix.EIO) {
			t.Errorf("read of %d pages: %d, %v; want EIO", n, got, err)
		}
		if got, err := unix.Pwrite(int(s.File().Fd()), b[:n*pageBytes], 0); !errors.Is(err, unix.EIO) {
			t.Errorf("write of %d pages: %d, %v; want EIO", n, got, err)
		}
	}
	for name, at := range map[string]int64{"offset": 512, "size": 0} {
		if got, err := unix.Pread(int(s.File().Fd()), b[:1024], at); !errors.Is(err, unix.EINVAL) {
			t.Errorf("read of unaligned %s: %d, %v; want EINVAL", name, got, err)
		}
	}
	if st := s.Stats(); st.ReadErrors != 2 || st.WriteErrors != 2 || st.Reads+st.Writes != 0 {
		t.Error(brief(st))
	}
}

// While all threads but one wait for long, requests are served.
func TestSlowRequestsHoldUpNobody(t *testing.T) {
	const threads, fast = 4, 100
	store, entered, release := newMemory(), make(chan struct{}), make(chan struct{})
	store.load = func(first uint64) error {
		if first < fast {
			entered <- struct{}{}
			<-release
		}
		return nil
	}
	s := mount(t, store, Config{Pages: 1024, Threads: threads, SpinMax: 50 * time.Microsecond})
	for s.crew.parked.Load() < threads-1 { // until they are at rest
		time.Sleep(time.Millisecond)
	}
	done := make(chan error, threads)
	for i := range threads - 1 {
		b := alignedBuffer(t, pageBytes)
		go func() {
			_, err := s.File().ReadAt(b, int64(i)*pageBytes)
			done <- err
		}()
		<-entered
	}
	b := alignedBuffer(t, pageBytes)
	for i := range fast {
		if _, err := s.File().ReadAt(b, int64(fast+i)*pageBytes); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("a slow read came back early: %v", err)
	default:
	}
	close(release)
	for range threads - 1 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Relieved == 0 {
		t.Error("nobody was called:", brief(st))
	}
}

// Close with I/O in flight ends that I/O, with data or with an error, and returns.
func TestCloseUnderLoad(t *testing.T) {
	for _, cfg := range []Config{{Threads: 1}, {Threads: 4}, {URing: true}} {
		t.Run(fmt.Sprintf("threads=%d/uring=%v", cfg.Threads, cfg.URing), func(t *testing.T) {
			cfg.Pages, cfg.SpinMax = 1024, 50*time.Microsecond
			s := mount(t, newMemory(), cfg)
			var wg sync.WaitGroup
			var served atomic.Uint64
			fd, err := unix.Dup(int(s.File().Fd())) // Close closes the other one
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			for i := range 8 {
				b := alignedBuffer(t, 16*pageBytes)
				wg.Go(func() {
					for {
						if _, err := unix.Pread(fd, b, int64(i)*pageBytes); err != nil {
							return
						}
						if _, err := unix.Pwrite(fd, b, int64(i)*pageBytes); err != nil {
							return
						}
						served.Add(1)
					}
				})
			}
			for deadline := time.Now().Add(time.Minute); served.Load() == 0 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
			closeInTime(t, s)
			wg.Wait()
			if served.Load() == 0 {
				t.Error("nothing was served")
			}
			closeInTime(t, s) // again
		})
	}
}

// When the last user of the file goes away, the kernel ends the connection and the threads end.
func TestGoneAfterLastUser(t *testing.T) {
	for _, uring := range []bool{false, true} {
		t.Run(fmt.Sprintf("uring=%v", uring), func(t *testing.T) {
			s := mount(t, newMemory(), Config{Pages: 16, Threads: 3, URing: uring})
			if err := s.File().Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.Gone():
			case <-time.After(time.Minute):
				t.Fatal("threads still serve")
			}
		})
	}
}

// The mount must not be visible to anybody.
func TestMountIsDetached(t *testing.T) {
	mount(t, newMemory(), Config{Pages: 16})
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "zswapd") {
		t.Errorf("the mount has a path:\n%s", b)
	}
}

// switches returns how often the threads of this process went to sleep.
func switches(t *testing.T) (n int) {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
		var v int
		if _, err := fmt.Sscan(rest, &v); err != nil {
			t.Fatal(err)
		}
		n += v
	}
	return n
}

// At rest nothing wakes up: not the threads that serve, nor the one that looks after them every millisecond.
func TestIdleUsesNoCPU(t *testing.T) {
	s := mount(t, newMemory(), Config{Pages: 1024, Threads: 4, SpinMax: 50 * time.Microsecond})
	b := alignedBuffer(t, pageBytes)
	for i := range 1000 {
		if _, err := s.File().ReadAt(b, int64(i)*pageBytes); err != nil {
			t.Fatal(err)
		}
	}
	best := 1 << 30
	for range 10 { // the runtime's own threads take a while to settle
		time.Sleep(100 * time.Millisecond)
		before := switches(t)
		time.Sleep(500 * time.Millisecond)
		if best = min(best, switches(t)-before); best < 25 {
			return
		}
	}
	t.Errorf("%d wake-ups in half a second at rest", best)
}

func BenchmarkIO(b *testing.B) {
	for _, op := range []string{"read", "write"} {
		for _, n := range []int{1, 32, 256} {
			for _, spin := range []time.Duration{0, 50 * time.Microsecond} {
				b.Run(fmt.Sprintf("op=%s/pages=%d/spin=%v", op, n, spin), func(b *testing.B) {
					s := mount(b, nothing{}, Config{Pages: 1024, SpinMax: spin})
					buf := alignedBuffer(b, n*pageBytes)
					b.SetBytes(int64(len(buf)))
					b.ReportAllocs()
					for b.Loop() {
						var err error
						if op == "read" {
							_, err = s.File().ReadAt(buf, 0)
						} else {
							_, err = s.File().WriteAt(buf, 0)
						}
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
