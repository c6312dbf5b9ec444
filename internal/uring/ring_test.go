package uring

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pollFor writes a submission that completes, with the data, when fd can be read.
func pollFor(r *Ring, fd int, data uint64) {
	b := r.Submission()
	b[0] = OpPollAdd
	native.PutUint32(b[4:], uint32(fd))
	native.PutUint32(b[28:], unix.POLLIN)
	native.PutUint64(b[32:], data)
}

// Each submission completes once, with its data, more of them than the ring has room for one after another; and a wait ends
// when it was told to.
func TestRing(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the ring is this thread's
	r, err := New(4)
	if err != nil {
		t.Skip("no io_uring here: ", err)
	}
	defer r.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := r.Enable(); err != nil {
		t.Fatal(err)
	}
	for round := range uint64(10) {
		for i := range uint64(3) {
			pollFor(r, fd, 100*round+i)
		}
		errno := r.Wait(time.Millisecond) // has submitted something, and that is what it tells
		for errno == 0 || errno == unix.EINTR {
			if _, _, ok := r.Completion(); ok {
				break
			}
			errno = r.Wait(time.Millisecond)
		}
		if errno != unix.ETIME {
			t.Fatalf("nothing to read: %v", errno)
		}
		if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		seen := map[uint64]bool{}
		for len(seen) < 3 {
			data, result, ok := r.Completion()
			if !ok {
				if errno := r.Wait(0); errno != 0 {
					t.Fatal(errno)
				}
				continue
			}
			if seen[data] || data < 100*round || data > 100*round+2 || result&unix.POLLIN == 0 {
				t.Fatalf("round %d: completion %d, result %#x", round, data, result)
			}
			seen[data] = true
		}
		if _, err := unix.Read(fd, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
}
