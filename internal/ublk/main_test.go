package ublk

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if part := os.Getenv(childPart); part != "" {
		child(part)
	}
	os.Exit(m.Run())
}

// needUBLK skips the test where the kernel has no ublk; in the guest, where it is the point, that is a failure.
func needUBLK(t *testing.T) {
	t.Helper()
	err := Available()
	if err == nil {
		return
	}
	if os.Getenv("ZSWAPD_TEST_UBLK") == "required" {
		t.Fatal(err)
	}
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Available: %v is no %v", err, ErrUnavailable)
	}
	t.Skip(err)
}

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memory is a Store: pages by number.
type memory struct {
	mu    sync.Mutex
	pages map[uint64][pageBytes]byte
	fail  func(op string, first uint64) error // may be nil
	wrote map[uint64]int                      // how often
}

func newMemory() *memory {
	return &memory{pages: map[uint64][pageBytes]byte{}, wrote: map[uint64]int{}}
}

func (m *memory) check(op string, first uint64) error {
	if m.fail == nil {
		return nil
	}
	return m.fail(op, first)
}

func (m *memory) Load(first uint64, dst []byte) error {
	if err := m.check("load", first); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range len(dst) / pageBytes {
		p := m.pages[first+uint64(i)]
		copy(dst[i*pageBytes:], p[:])
	}
	return nil
}

func (m *memory) Store(first uint64, src []byte) error {
	if err := m.check("store", first); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range len(src) / pageBytes {
		m.pages[first+uint64(i)] = [pageBytes]byte(src[i*pageBytes:])
		m.wrote[first+uint64(i)]++
	}
	return nil
}

func (m *memory) Invalidate(first, n uint64) error {
	if err := m.check("invalidate", first); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.pages, func(p uint64, _ [pageBytes]byte) bool { return p >= first && p-first < n })
	return nil
}

func (m *memory) stored() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pages)
}

// aligned returns a buffer that O_DIRECT takes.
func aligned(t testing.TB, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	noErr(t, err)
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// fill writes what page n holds in its version-th version.
func fill(b []byte, n uint64, version int) {
	clear(b[:pageBytes])
	copy(b, fmt.Sprintf("page %d, version %d.", n, version))
	for i := 64; i < pageBytes; i += 128 {
		native.PutUint64(b[i:], n*0x9e3779b97f4a7c15+uint64(version)<<32+uint64(i))
	}
}
