// Package bell wakes one thread from others, through the kernel: an eventfd. A channel of Go's may have to make a thread to
// run whom it wakes, which takes memory, and where this is used there may be none.
package bell

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Bell is what one goroutine, locked to its thread, waits for and any number ring. Rings that nobody waits for are
// remembered as one.
type Bell struct {
	fd      int
	waiting atomic.Bool // or about to
	one     []byte
	buf     []byte
}

// New makes a bell.
func New() (*Bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &Bell{fd: fd, one: binary.NativeEndian.AppendUint64(nil, 1), buf: make([]byte, 8)}, nil
}

// Ring wakes who waits. It never blocks, costs next to nothing when nobody waits, and may be called with locks held.
func (b *Bell) Ring() {
	if b.waiting.Load() && b.waiting.CompareAndSwap(true, false) {
		_, _ = unix.Write(b.fd, b.one) // it cannot fail: the counter is far from full
	}
}

// Wait returns when it has rung since Expect.
func (b *Bell) Wait() {
	for {
		if _, err := unix.Read(b.fd, b.buf); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Expect makes the next Ring count. Whoever is about to wait calls it, looks whether there is reason to, and either waits
// or calls Forget.
func (b *Bell) Expect() { b.waiting.Store(true) }

// Forget takes Expect back; if it has rung meanwhile, that is forgotten, too.
func (b *Bell) Forget() {
	if !b.waiting.CompareAndSwap(true, false) {
		b.Wait()
	}
}

// Close frees the bell, which nobody may use any more.
func (b *Bell) Close() error { return unix.Close(b.fd) }
