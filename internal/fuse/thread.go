package fuse

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/iobuf"
)

// A thread reads requests and answers them. It is one goroutine locked to one OS thread.
type thread struct {
	handler
	fds    [2]unix.PollFd // the connection and the stop signal
	streak int            // requests in a row that were there without waiting
	since  atomic.Int64   // when the request being served came, since epoch; 0 = none. Read by patience
}

// epoch is the zero of all times in this package: a difference to it is cheaper to take than two clocks.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

func newThread(s *Server) (*thread, error) {
	buf, locked, err := iobuf.New(bufferBytes)
	if err != nil {
		return nil, err
	}
	s.locked = s.locked && locked
	t := &thread{handler: handler{server: s, store: s.cfg.NewStore(), buf: buf}}
	t.fds = [2]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.stop), Events: unix.POLLIN}}
	return t, nil
}

func (t *thread) free() error { return unix.Munmap(t.buf) }

// run serves until the server stops or the connection ends.
func (t *thread) run() {
	runtime.LockOSThread() // and never unlocked: the OS thread ends with the goroutine
	debug.SetPanicOnFault(true)
	nameThread(ThreadName)
	s := t.server
	for !s.crew.stopping.Load() {
		n, errno := t.read()
		if errno == unix.EAGAIN {
			n, errno = t.wait()
		}
		switch errno {
		case 0:
			t.serve(n)
		case unix.EAGAIN, unix.EINTR, unix.ENOENT: // nothing, a signal, a request withdrawn while we read it
		case unix.ENODEV, unix.ECONNABORTED: // the file system is gone
			s.crew.stopAll()
			return
		default:
			s.stats.malformed.Add(1)
		}
	}
}

// read takes a request if there is one, without waiting.
func (t *thread) read() (int, unix.Errno) {
	return rawRead(t.server.fd, t.buf[requestAt:])
}

// serve answers the request of n bytes in the buffer.
func (t *thread) serve(n int) {
	s := t.server
	came := now()
	t.since.Store(int64(came))
	if t.streak++; t.streak >= helpAfter {
		t.streak = 0
		if s.crew.wakeOne() {
			s.stats.helped.Add(1)
		}
	}
	s.patience.traffic()
	reply := t.handleOrFail(n)
	if reply != nil {
		if errno := rawWrite(s.fd, reply); errno != 0 {
			t.failed(errno)
		}
	}
	if t.req.op == opInit {
		s.startRings()
	}
	t.since.Store(0)
	t.observe(now() - came)
	if t.req.op == opRead {
		s.cfg.Hold.Event()
	}
}

// failed looks at a reply that the kernel did not take. A request that nobody waits for any more is no error;
// for any other, the least that we owe is an answer.
func (t *thread) failed(errno unix.Errno) {
	if errno == unix.ENOENT || errno == unix.ENODEV {
		return
	}
	t.server.stats.replyErrors.Add(1)
	rawWrite(t.server.fd, t.fail(unix.EIO))
}
