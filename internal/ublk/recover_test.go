package ublk

import (
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

func newPages(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("pages", unix.MFD_CLOEXEC)
	noErr(t, err)
	f := os.NewFile(uintptr(fd), "pages")
	t.Cleanup(func() { _ = f.Close() })
	noErr(t, f.Truncate(childPages*pageBytes))
	return f
}

// A server that is killed again and again, at random moments, under verified I/O: no request fails, no page is wrong.
func TestKilled(t *testing.T) {
	needUBLK(t)
	pages := newPages(t)
	c := serve(t, pages, "create", "")
	number := c.number(t)
	t.Cleanup(func() { c.kill(); remove(t, number) })
	limitRequests(t, number)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const workers = 4
	ended := make(chan error, workers)
	for w := range uint64(workers) {
		fd, b := openDevice(t, Path(number)), aligned(t, 100*pageBytes)
		go func() {
			ended <- exercise(fd, b, rand.New(rand.NewPCG(seed, w)), w*childPages/workers, (w+1)*childPages/workers, 300)
		}()
	}
	r, kills, left := rand.New(rand.NewPCG(seed, 99)), 0, workers
	var longest time.Duration
	for left > 0 {
		select {
		case err := <-ended:
			left--
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Duration(20+r.IntN(200)) * time.Millisecond):
			c.kill()
			begin := now()
			c = serve(t, pages, fmt.Sprintf("recover %d", number), "")
			if c.number(t); now()-begin > longest {
				longest = now() - begin
			}
			kills++
			fmt.Println("killed", kills) // a guest that says nothing counts as stalled
		}
	}
	t.Logf("killed %d times, the next one served after %v at most", kills, longest)
	if kills < 5 {
		t.Errorf("killed %d times only: the test has nothing to say", kills)
	}
}

// A server that is killed while it recovers the device, at each step: the next one does it.
func TestKilledWhileRecovering(t *testing.T) {
	needUBLK(t)
	pages := newPages(t)
	c := serve(t, pages, "create", "")
	number := c.number(t)
	t.Cleanup(func() { c.kill(); remove(t, number) })
	limitRequests(t, number)
	fd, b := openDevice(t, Path(number)), aligned(t, pageBytes)
	for round := range 2 {
		for i, at := range []string{"recover: begun", "attach: opened", "attach: fetched", "attach: mapped", "recover: attached"} {
			c.kill()
			written := make(chan error, 1)
			go func() { // somebody waits meanwhile
				fill(b, uint64(i), round)
				_, err := unix.Pwrite(fd, b, int64(i)<<pageShift)
				written <- err
			}()
			for range 2 { // twice: what it leaves must do for another that is killed
				c = serve(t, pages, fmt.Sprintf("recover %d %s", number, at), "")
				if c.line != "" {
					t.Fatalf("%s: it was to be killed, and says %q", at, c.line)
				}
				c.kill()
			}
			c = serve(t, pages, fmt.Sprintf("recover %d", number), "")
			c.number(t)
			noErr(t, <-written)
			got, want := aligned(t, pageBytes), make([]byte, pageBytes)
			_, err := unix.Pread(fd, got, int64(i)<<pageShift)
			noErr(t, err)
			if fill(want, uint64(i), round); string(got) != string(want) {
				t.Errorf("%s: page %d begins with %q", at, i, got[:30])
			}
		}
	}
}

// A server that is killed with all requests that there can be in its hands. Without a tag to spare the kernel would notice half
// a minute later, see the package; the log tells how long it took.
func TestKilledWithAllTags(t *testing.T) {
	needUBLK(t)
	pages := newPages(t)
	c := serve(t, pages, "create", "100")
	number := c.number(t)
	t.Cleanup(func() { c.kill(); remove(t, number) })
	limitRequests(t, number)
	var all sync.WaitGroup
	for i := range uint64(2 * DefaultDepth) {
		fd, b := openDevice(t, Path(number)), aligned(t, pageBytes)
		if i == 1 {
			time.Sleep(300 * time.Millisecond) // the first one is being served, and takes long
		}
		all.Go(func() {
			fill(b, 100+i, 1)
			if _, err := unix.Pwrite(fd, b, int64(100+i)<<pageShift); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(2 * time.Second)
	c.kill()
	begin := now()
	c = serve(t, pages, fmt.Sprintf("recover %d", number), "")
	c.number(t)
	t.Logf("recovered after %v", now()-begin)
	all.Wait()
	got, want := make([]byte, pageBytes), make([]byte, pageBytes)
	for i := range uint64(2 * DefaultDepth) {
		_, err := pages.ReadAt(got, int64(100+i)<<pageShift)
		noErr(t, err)
		if fill(want, 100+i, 1); string(got) != string(want) {
			t.Errorf("page %d begins with %q", 100+i, got[:30])
		}
	}
}

// A server that leaves has answered what it took; the next one, in the same process, goes on. A living one is not recovered.
func TestLeave(t *testing.T) {
	m := newMemory()
	first := create(t, 1000, m)
	limitRequests(t, first.Number())
	number := first.Number()
	fd, err := unix.Open(first.Device(), unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	noErr(t, err)
	b := aligned(t, 64*pageBytes)
	ended := make(chan error, 1)
	go func() { ended <- exercise(fd, b, rand.New(rand.NewPCG(1, 2)), 0, 1000, 500) }()
	s := first
	for range 5 {
		next, err := New(Config{Pages: 1000, NewStore: func() Store { return m }})
		noErr(t, err)
		noErr(t, s.Close())
		<-s.Gone()
		noErr(t, next.Recover(number))
		s = next
	}
	noErr(t, <-ended)
	st := s.Stats()
	t.Logf("%+v", st.Reads)
	if err := s.Delete(); err == nil || !strings.Contains(err.Error(), "open") {
		t.Errorf("deleted while somebody has it open: %v", err)
	}
	if n, err := unix.Pread(fd, b, 0); n > 0 || err != nil && err != unix.EIO {
		t.Errorf("and he reads %d bytes: %v", n, err)
	}
	if err := s.Delete(); err == nil {
		t.Error("said to be gone while he has it")
	}
	noErr(t, unix.Close(fd))
	for end := now() + deleteLimit; s.Delete() != nil && now() < end; time.Sleep(recoverPause) { // the kernel closes it in its own time
	}
	noErr(t, s.Delete())
	last, err := New(Config{Pages: 1, NewStore: func() Store { return m }})
	noErr(t, err)
	if err := last.Recover(number); !errors.Is(err, ErrForeign) {
		t.Errorf("a device that is gone: %v", err)
	}
	noErr(t, last.Close())
}

// A device whose server is dead is found by its tag, and removed.
func TestRemoveOfADeadServersDevice(t *testing.T) {
	needUBLK(t)
	c := serve(t, newPages(t), "create", "")
	number := c.number(t)
	c.kill()
	remove(t, number)
}
