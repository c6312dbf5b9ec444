package ublk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// create serves a device of pages pages with the store until the test ends.
func create(t *testing.T, pages uint64, store Store) *Server {
	t.Helper()
	needUBLK(t)
	s, err := New(Config{Pages: pages, NewStore: func() Store { return store }})
	noErr(t, err)
	var told []string
	noErr(t, s.Create(childTag, func(device string) error { told = append(told, device); return nil }))
	if len(told) == 0 || told[len(told)-1] != s.Device() {
		t.Errorf("%s was made, told were %q", s.Device(), told)
	}
	t.Cleanup(func() {
		noErr(t, s.Delete())
		gone(t, s.Number())
	})
	return s
}

func openDevice(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	noErr(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// exercise reads, writes and discards pages of its own, [from, to), through direct I/O and compares all that it reads.
func exercise(fd int, b []byte, r *rand.Rand, from, to uint64, rounds int) error {
	versions := make([]int, to-from) // 0: zeros
	want := make([]byte, pageBytes)
	compare := func(got []byte, page uint64) error {
		clear(want)
		if v := versions[page-from]; v > 0 {
			fill(want, page, v)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("page %d begins with %q, want version %d", page, got[:30], versions[page-from])
		}
		return nil
	}
	for round := 1; round <= rounds; round++ {
		first := from + r.Uint64N(to-from)
		n := 1 + r.Uint64N(min(to-first, uint64(len(b)/pageBytes)))
		if r.IntN(2) == 0 {
			n = 1
		}
		p := b[:n*pageBytes]
		var err error
		switch op := r.IntN(10); {
		case op < 5:
			for i := range n {
				versions[first+i-from] = round
				fill(p[i*pageBytes:][:pageBytes], first+i, round)
			}
			_, err = unix.Pwrite(fd, p, int64(first)<<pageShift)
		case op < 9:
			_, err = unix.Pread(fd, p, int64(first)<<pageShift)
			for i := uint64(0); i < n && err == nil; i++ {
				err = compare(p[i*pageBytes:][:pageBytes], first+i)
			}
		default:
			clear(versions[first-from : first-from+n])
			err = rangeIoctl(fd, []uint{unix.BLKDISCARD, unix.BLKZEROOUT}[r.IntN(2)], first, n)
		}
		if err != nil {
			return fmt.Errorf("round %d, pages %d to %d: %w", round, first, first+n, err)
		}
	}
	return nil
}

// Every page that is read is what was last written there, from several threads and in requests of all sizes.
func TestDevice(t *testing.T) {
	const pages, workers = 4096, 4
	m := newMemory()
	s := create(t, pages, m)
	limitRequests(t, s.Number())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for w := range uint64(workers) {
		fd, b := openDevice(t, s.Device()), aligned(t, 100*pageBytes)
		all.Go(func() {
			err := exercise(fd, b, rand.New(rand.NewPCG(seed, w)), w*pages/workers, (w+1)*pages/workers, 200)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	st := s.Stats()
	if st.ReadErrors+st.WriteErrors+st.DiscardErrors+st.Malformed+st.CopyErrors > 0 || st.DiscardedPages == 0 || st.Reads == 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d reads of %d pages, %d writes of %d, %d discards", st.Reads, st.ReadPages, st.Writes, st.WrittenPages, st.Discards)
}

// The device is what swap wants: blocks of a page, the size that was asked for, no partitions, not rotational.
func TestParameters(t *testing.T) {
	s := create(t, 1000, newMemory())
	for name, want := range map[string]string{
		"size": "8000", "queue/logical_block_size": "4096", "queue/discard_granularity": "4096", "queue/rotational": "0",
		"queue/max_hw_sectors_kb": "128", "queue/write_cache": "write through", "ro": "0",
	} {
		got, err := os.ReadFile(fmt.Sprintf("/sys/block/ublkb%d/%s", s.Number(), name))
		if noErr(t, err); strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// An error of the store reaches the one that asked, and nobody else.
func TestErrorsReachTheClient(t *testing.T) {
	m := newMemory()
	m.fail = func(_ string, first uint64) error {
		if first == 700 {
			return errors.New("no")
		}
		return nil
	}
	s := create(t, 1000, m)
	fd, b := openDevice(t, s.Device()), aligned(t, pageBytes)
	for page, want := range map[int64]error{699: nil, 700: unix.EIO, 701: nil} {
		if _, err := unix.Pread(fd, b, page<<pageShift); err != want {
			t.Errorf("read of %d: %v, want %v", page, err, want)
		}
		if _, err := unix.Pwrite(fd, b, page<<pageShift); err != want {
			t.Errorf("write of %d: %v, want %v", page, err, want)
		}
	}
	if _, err := unix.Pwrite(fd, b[:512], 0); err != unix.EINVAL {
		t.Errorf("an eighth of a page: %v", err)
	}
}

// Many devices may come and go, several at a time, each with its own pages; and a number is used again.
func TestComeAndGo(t *testing.T) {
	needUBLK(t)
	for round := range 3 {
		var list []*Server
		for i := range 3 {
			s, err := New(Config{Pages: 16, NewStore: func() Store { return newMemory() }})
			noErr(t, err)
			noErr(t, s.Create(uint64(10*round+i), nil))
			list = append(list, s)
		}
		for i, s := range list {
			if _, _, err := s.Find(s.Device(), uint64(10*round+i)); err != nil {
				t.Error(err)
			}
			if _, _, err := s.Find(s.Device(), 99); !errors.Is(err, ErrForeign) {
				t.Errorf("with another tag: %v", err)
			}
			if s.Number() != list[0].Number()+i {
				t.Errorf("device %d has number %d", i, s.Number())
			}
		}
		for _, s := range list {
			noErr(t, s.Delete())
			gone(t, s.Number())
		}
	}
}
