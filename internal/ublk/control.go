package ublk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/iobuf"
	"github.com/zswapd/zswapd/internal/uring"
)

const controlPath = "/dev/ublk-control"

// control sends commands to the driver. They go over io_uring, whose kernel thread for what takes its time belongs to the
// thread that submits; so one thread submits them all, and after the first one nothing must be made for the others.
type control struct {
	fd   int
	ring *uring.Ring
	page []byte // the argument; no Go memory, since the kernel has its address meanwhile

	mu    sync.Mutex // held for a command
	calls chan call  // closed by close
	ended chan error
}

type call struct {
	command uint32
	number  int
	data    uint64
	length  int
}

// openControl opens the driver, and loads it if need be.
func openControl() (c *control, err error) {
	if err := load(); err != nil {
		return nil, err
	}
	fd, err := unix.Open(controlPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: controlPath, Err: err}
	}
	c = &control{fd: fd, calls: make(chan call), ended: make(chan error)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.free())
		}
	}()
	if c.page, _, err = iobuf.New(pageBytes); err != nil {
		return nil, err
	}
	if c.ring, err = uring.New(2); err != nil {
		return nil, err
	}
	go onOwnThread(c.run)
	if err := <-c.ended; err != nil {
		return nil, err
	}
	return c, nil
}

// onOwnThread calls f on an OS thread that ends with it. The program's first thread never ends, so that will not do.
func onOwnThread(f func()) {
	runtime.LockOSThread() // and never unlocked
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onOwnThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

func (c *control) run() {
	if err := c.ring.Enable(); err != nil {
		c.ended <- err
		return
	}
	c.ended <- nil
	for call := range c.calls {
		c.ended <- c.send(call)
	}
	close(c.ended)
}

// send sends one command and waits for its end.
func (c *control) send(a call) error {
	b := c.ring.Submission()
	b[0] = uring.OpCommand
	native.PutUint32(b[4:], uint32(c.fd))
	native.PutUint32(b[8:], a.command)
	p := b[commandAt:]
	native.PutUint32(p, uint32(a.number))
	native.PutUint16(p[4:], 0xffff) // no queue
	if a.length > 0 {
		native.PutUint16(p[6:], uint16(a.length))
		native.PutUint64(p[8:], uring.Address(c.page))
	}
	native.PutUint64(p[16:], a.data)
	for {
		errno := c.ring.Wait(0)
		if _, result, ok := c.ring.Completion(); ok {
			if result < 0 {
				return unix.Errno(-result)
			}
			return nil
		}
		if errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
			return os.NewSyscallError("io_uring_enter", errno)
		}
	}
}

// do carries a command out. put, if any, writes the argument, of length bytes, and get, if any, reads it afterwards.
func (c *control) do(command uint32, number int, data uint64, length int, put, get func([]byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if put != nil {
		put(c.page[:length])
	}
	c.calls <- call{command, number, data, length}
	err := <-c.ended
	if err == nil && get != nil {
		get(c.page[:length])
	}
	return err
}

// simple is do without an argument. A signal may have cut it short.
func (c *control) simple(command uint32, number int, data uint64) error {
	for {
		if err := c.do(command, number, data, 0, nil, nil); err != unix.EINTR {
			return err
		}
	}
}

// features returns what the driver can do.
func (c *control) features() (bits uint64, err error) {
	err = c.do(cmdGetFeatures, 0, 0, featuresBytes, nil, func(b []byte) { bits = native.Uint64(b) })
	return bits, err
}

// info returns what the driver knows of a device. ENODEV: there is none of that number.
func (c *control) info(number int) (i info, err error) {
	err = c.do(cmdGetDevInfo, number, 0, infoBytes, nil, i.decode)
	return i, err
}

// close ends the thread.
func (c *control) close() error {
	close(c.calls)
	<-c.ended
	return c.free()
}

func (c *control) free() (err error) {
	if c.ring != nil {
		err = c.ring.Close()
	}
	if c.page != nil {
		err = errors.Join(err, unix.Munmap(c.page))
	}
	if err = errors.Join(err, unix.Close(c.fd)); err != nil {
		return fmt.Errorf("close %s: %w", controlPath, err)
	}
	return nil
}
