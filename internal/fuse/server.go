package fuse

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/pmqos"
)

const (
	maxThreads = 64
	maxSpin    = 10 * time.Millisecond
)

// Store is one thread's door to the pages. Offsets and counts are in pages of 4096 bytes, slices are multiples
// of that and are not kept after the call. A page that was never stored, or was invalidated, loads as zeros.
// Any error reaches the client as EIO. A call must not wait for anything that needs this file.
type Store interface {
	Load(first uint64, dst []byte) error
	Store(first uint64, src []byte) error
	Invalidate(first, n uint64) error
}

// Config is what a Server needs to know.
type Config struct {
	Pages    uint64        // size of the file
	Threads  int           // serving OS threads; 0 = one per CPU, from 2 to 4
	NewStore func() Store  // called once per thread, before serving
	Refusals []error       // of Store: there is no room, and the kernel keeps the page; as they are, not wrapped
	SpinMax  time.Duration // longest spin for the next request; 0 = never spin
	Hold     *pmqos.Hold   // told about every READ; may be nil

	// URing asks for requests over io_uring instead of read and write. If the kernel does not offer it, Server.URing says
	// why. Such a server cannot be replaced: what it had in its hands when it was killed ends in an error.
	URing bool

	// Ready, if any, is called when everything was made, before the first request is read.
	Ready func() error
}

// Validate reports every setting that cannot work, with its value.
func (c *Config) Validate() (err error) {
	if c.Pages == 0 || c.Pages > 1<<51 {
		err = errors.Join(err, fmt.Errorf("pages = %d: want 1 to 2^51", c.Pages))
	}
	if c.Threads < 0 || c.Threads > maxThreads {
		err = errors.Join(err, fmt.Errorf("threads = %d: want 0 to %d", c.Threads, maxThreads))
	}
	if c.SpinMax < 0 || c.SpinMax > maxSpin {
		err = errors.Join(err, fmt.Errorf("spin = %v: want 0 to %v", c.SpinMax, maxSpin))
	}
	if c.NewStore == nil {
		err = errors.Join(err, errors.New("no store"))
	}
	return err
}

// Server serves one connection.
type Server struct {
	cfg  Config
	fd   int      // /dev/fuse, O_NONBLOCK
	stop int      // eventfd: readable when it is time to stop
	file *os.File // nil after Adopt

	flags    atomic.Uint64 // agreed at INIT; 0 after Adopt
	stats    counters
	crew     crew
	patience *patience
	rings    []*ring // one for each CPU; nil: read and write
	noURing  error   // why there are none; immutable after start
	locked   bool    // all buffers are locked in memory

	threads   sync.WaitGroup
	gone      chan struct{} // closed when the last thread has ended
	broken    chan error    // holds the first panic
	stopOnce  sync.Once
	closeOnce sync.Once
	closeErr  error
}

// newServer makes a server on a /dev/fuse descriptor, which it owns from now on, errors included.
// No thread runs yet.
func newServer(fd int, cfg Config) (*Server, error) {
	cfg.Threads = cmp.Or(cfg.Threads, min(max(runtime.NumCPU(), 2), 4))
	s := &Server{cfg: cfg, fd: fd, gone: make(chan struct{}), broken: make(chan error, 1), locked: true}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(fd))
	}
	s.stop = stop
	s.crew.init(cfg.SpinMax)
	return s, nil
}

// start makes the threads and their stores, and serves.
func (s *Server) start() (err error) {
	threads := make([]*thread, 0, s.cfg.Threads)
	defer func() {
		if err != nil {
			for _, t := range threads {
				err = errors.Join(err, t.free())
			}
			err = errors.Join(err, s.freeRings())
		}
	}()
	for range s.cfg.Threads {
		t, err := newThread(s)
		if err != nil {
			return err
		}
		threads = append(threads, t)
	}
	if s.cfg.URing {
		s.noURing = s.makeRings()
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return err
		}
	}
	s.patience = newPatience(s, threads)
	for _, t := range threads {
		s.threads.Go(t.run)
	}
	go func() {
		s.threads.Wait()
		for _, t := range threads {
			t.free() // an unmap of what we mapped cannot fail
		}
		for _, r := range s.rings {
			_ = unix.Munmap(r.memory)
		}
		close(s.gone)
	}()
	return nil
}

// File returns the one file, opened for reading and writing with O_DIRECT, for the loop device to take. The
// Server closes it; the caller may close it earlier. It is nil after Adopt: the loop device has the file.
func (s *Server) File() *os.File { return s.file }

// Fd returns the descriptor of the connection, which stays the Server's. While another process holds a copy,
// the connection outlives this one and can be adopted.
func (s *Server) Fd() int { return s.fd }

// startRings starts the rings, if the kernel agreed to use them.
func (s *Server) startRings() {
	over := s.flags.Load()&initOverURing != 0
	for _, r := range s.rings {
		if over {
			s.threads.Go(r.run)
		} else {
			_ = r.uring.Close()
		}
	}
}

// URing returns nil if requests come over io_uring, else why they do not.
func (s *Server) URing() error {
	if s.flags.Load()&initOverURing != 0 {
		return nil
	}
	return cmp.Or(s.noURing, ErrNoURing)
}

// Gone is closed when no thread serves any more: after Close, or when the kernel has ended the connection
// because the last user of the file went away.
func (s *Server) Gone() <-chan struct{} { return s.gone }

// Failed tells of a panic of ours while a request was served: the request ended in an error, the server goes on, but
// it can no longer be trusted, and the swap should be turned off as soon as may be.
func (s *Server) Failed() <-chan error { return s.broken }

func (s *Server) fail(err error) {
	select {
	case s.broken <- err:
	default: // the first one is enough
	}
}

// Stop lets the threads finish the requests they have read and ends them. The connection stays open, requests
// wait in the kernel, and another process that has the descriptor may adopt it. Stop may be called more than once.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		s.crew.stopping.Store(true)
		if _, err := unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			panic("fuse: eventfd: " + err.Error()) // it has room for 2^64-1
		}
		s.crew.stopAll()
		<-s.gone
		s.patience.close()
	})
}

// Close stops, and gives the connection up. If no other process holds the descriptor, all I/O that still waits
// ends in an error; if one does, the I/O waits for a server that adopts it. Close may be called more than once.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		if s.file != nil && s.URing() == nil {
			_ = s.file.Close() // while somebody is there to answer
		}
		s.Stop()
		s.crew.idle.close()
		err := errors.Join(unix.Close(s.fd), unix.Close(s.stop))
		if s.file != nil {
			if e := s.file.Close(); !errors.Is(e, os.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
		if err != nil {
			s.closeErr = fmt.Errorf("fuse: close: %w", err)
		}
	})
	return s.closeErr
}
