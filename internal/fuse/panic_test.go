package fuse

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// touchNothing touches memory that is not there.
func touchNothing(uint64) error {
	hole, err := unix.Mmap(-1, 0, pageBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(hole)
	hole[0]++
	return nil
}

// A panic while a page is served, or a bad address, ends that request in an error and is told; the server goes on, so
// that other pages can still be brought back.
func TestPanicIsAnErrorAndIsTold(t *testing.T) {
	needRoot(t)
	for how, load := range map[string]func(uint64) error{"panic": func(uint64) error { panic("a bug") }, "fault": touchNothing} {
		m := newMemory()
		m.load = load
		s, err := Mount(Config{Pages: 64, Threads: 2, NewStore: func() Store { return m }})
		if err != nil {
			t.Fatal(err)
		}
		buf := alignedBuffer(t, pageBytes)
		for range 3 {
			if n, err := unix.Pread(int(s.File().Fd()), buf, 0); err != unix.EIO {
				t.Errorf("%s: read %d, %v; want EIO", how, n, err)
			}
		}
		if n, err := unix.Pwrite(int(s.File().Fd()), buf, pageBytes); n != pageBytes || err != nil {
			t.Errorf("%s: a write afterwards: %d, %v", how, n, err)
		}
		select {
		case err := <-s.Failed():
			if !strings.Contains(err.Error(), "panic_test.go") {
				t.Errorf("%s: no stack: %v", how, err)
			}
		default:
			t.Errorf("%s: nobody was told", how)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
