package ublk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/iobuf"
	"github.com/zswapd/zswapd/internal/uring"
)

// Server serves one device. Its methods may be called concurrently only where they say so.
type Server struct {
	cfg     Config
	control *control
	ring    *uring.Ring
	stop    int // eventfd: readable when it is time to stop
	buf     []byte
	locked  bool
	number  int // of the device; -1: there is none

	stats  counters
	step   chan error    // what became of the thread's steps until it serves
	begin  chan struct{} // sent to when there is a device, closed when there will be none
	gone   chan struct{} // closed when the thread serves no more
	broken chan error    // holds the first panic

	// The fields below belong to the thread from begin to gone.
	tid           int
	char          int // the character device; -1: not open
	store         Store
	descs         []byte // of the requests, by tag; the driver writes them
	req           request
	reads, others []int // tags whose requests have come and are not served
	stopping      bool
	over          bool // a command ended in an error: nothing will come any more

	endOnce sync.Once
	endErr  error
}

// New makes all that it takes to serve, but a device: threads, rings, buffers. The driver must be there, see Available.
func New(cfg Config) (s *Server, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ublk: %w", err)
	}
	s = &Server{
		cfg: cfg.withDefaults(), number: -1, char: -1, stop: -1,
		step: make(chan error), begin: make(chan struct{}), gone: make(chan struct{}), broken: make(chan error, 1),
	}
	s.reads, s.others = make([]int, 0, s.tags()), make([]int, 0, s.tags())
	running := false
	defer func() {
		if err != nil {
			if !running {
				close(s.gone)
			}
			err = fmt.Errorf("ublk: %w", errors.Join(err, s.Close()))
			s = nil
		}
	}()
	if s.control, err = openControl(); err != nil {
		return s, err
	}
	if s.buf, s.locked, err = iobuf.New(s.cfg.MaxPages * pageBytes); err != nil {
		return s, err
	}
	if s.ring, err = uring.New(uint32(s.tags() + 1)); err != nil {
		return s, err
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return s, os.NewSyscallError("eventfd", err)
	}
	if _, err = s.control.features(); err != nil { // so that the kernel's thread for commands is there
		return s, err
	}
	running = true
	go onOwnThread(s.run)
	return s, <-s.step
}

// tags is one more than the block layer is to use: see the package's comment.
func (s *Server) tags() int { return s.cfg.Depth + 1 }

// Device returns the block device, "" before there is one.
func (s *Server) Device() string {
	if s.number < 0 {
		return ""
	}
	return Path(s.number)
}

// Path returns the block device of that number.
func Path(number int) string { return fmt.Sprintf("/dev/ublkb%d", number) }

// Number returns the number of the device, -1 before there is one.
func (s *Server) Number() int { return s.number }

// Gone is closed when the thread serves no more: after Stop or Delete, or because somebody has taken the device away.
func (s *Server) Gone() <-chan struct{} { return s.gone }

// Failed tells of a panic of ours while a request was served: the request ended in an error, the server goes on, but it can no
// longer be trusted, and the swap should be turned off as soon as may be.
func (s *Server) Failed() <-chan error { return s.broken }

func (s *Server) fail(err error) {
	select {
	case s.broken <- err:
	default: // the first one is enough
	}
}

// attach gives the thread the device, which is served once the driver is told so.
func (s *Server) attach(number int) (err error) {
	if s.char, err = openChar(number); err != nil {
		return err
	}
	s.number, s.store = number, s.cfg.NewStore()
	step("attach: opened")
	s.begin <- struct{}{}
	if err := <-s.step; err != nil {
		return err
	}
	if s.cfg.Ready != nil {
		return s.cfg.Ready()
	}
	return nil
}

// Close stops serving, with every request that was taken answered, and lets go of the device, which stays: who uses it waits
// until another server recovers it. It may be called more than once.
func (s *Server) Close() error {
	s.endOnce.Do(func() {
		err := s.leave()
		if s.control != nil {
			err = errors.Join(err, s.control.close())
		}
		if err != nil {
			s.endErr = fmt.Errorf("ublk: close: %w", err)
		}
	})
	return s.endErr
}

// leave ends the thread, and closes all that is the device's. The ring goes before the file that its commands are for.
func (s *Server) leave() (err error) {
	if s.stop >= 0 {
		if _, err := unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			panic("ublk: eventfd: " + err.Error()) // it has room for 2^64-1
		}
	}
	close(s.begin)
	<-s.gone
	// The driver goes by the thread, not by the process: let it be gone before anybody recovers the device.
	for s.tid != 0 && unix.Tgkill(unix.Getpid(), s.tid, 0) == nil {
		time.Sleep(100 * time.Microsecond)
	}
	for _, b := range [][]byte{s.descs, s.buf} {
		if b != nil {
			err = errors.Join(err, unix.Munmap(b))
		}
	}
	if s.ring != nil {
		err = errors.Join(err, s.ring.Close())
	}
	for _, fd := range []int{s.char, s.stop} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	s.descs, s.buf, s.ring, s.char, s.stop = nil, nil, nil, -1, -1
	return err
}
