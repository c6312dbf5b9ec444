package fuse

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/iobuf"
	"github.com/zswapd/zswapd/internal/uring"
)

// ErrNoURing: the kernel does not offer FUSE over io_uring.
var ErrNoURing = errors.New("the kernel does not offer FUSE over io_uring: it takes Linux 6.14, and Y in /sys/module/fuse/parameters/enable_uring")

const (
	ringEntries   = 8  // requests of one CPU that may be in our hands
	ringPages     = 32 // of one request; the kernel splits what is larger
	ringDataBytes = ringPages * pageBytes
	entryBytes    = dataAt + ringDataBytes + pageBytes
	stopData      = 1 << 32 // names the completion of the stop signal; entries have their index
)

// A ring serves the requests that arrive on one CPU, on that CPU, over io_uring: one system call answers a request and
// waits for the next.
//
//	kernel: request ─► free entry: copied into its buffers ─► completion ─► serve ─► commit: the reply is taken, the entry free
//
// It never spins: who asks is on the same CPU, as a rule, and wants it back. Requests in its hands cannot be sent to
// another server.
type ring struct {
	handler
	queue   int // the CPU's number
	uring   *uring.Ring
	memory  []byte
	entries []ringEntry
}

// makeRings makes a ring for each CPU that the machine may have: the kernel sends nothing before all are there.
func (s *Server) makeRings() error {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return err
	}
	list := strings.FieldsFunc(string(b), func(r rune) bool { return r < '0' || r > '9' })
	last, err := strconv.Atoi(list[len(list)-1])
	if err != nil || last >= maxThreads {
		return fmt.Errorf("possible CPUs %q: want at most %d", b, maxThreads)
	}
	for q := range last + 1 {
		r, err := newRing(s, q)
		if err != nil {
			return errors.Join(err, s.freeRings())
		}
		s.rings = append(s.rings, r)
	}
	return nil
}

func newRing(s *Server, queue int) (*ring, error) {
	memory, locked, err := iobuf.New(ringEntries * entryBytes)
	if err != nil {
		return nil, err
	}
	u, err := uring.New(2 * ringEntries)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(memory))
	}
	s.locked = s.locked && locked
	r := &ring{handler: handler{server: s, store: s.cfg.NewStore()}, queue: queue, uring: u, memory: memory}
	for i := range ringEntries {
		r.entries = append(r.entries, newRingEntry(memory[i*entryBytes:(i+1)*entryBytes]))
	}
	return r, nil
}

// freeRings gives up rings that do not run.
func (s *Server) freeRings() (err error) {
	for _, r := range s.rings {
		err = errors.Join(err, r.uring.Close(), unix.Munmap(r.memory))
	}
	s.rings = nil
	return err
}

// run serves until the server stops or the connection ends.
func (r *ring) run() {
	runtime.LockOSThread() // and never unlocked: the OS thread ends with the goroutine
	debug.SetPanicOnFault(true)
	defer func() { _ = r.uring.Close() }()
	var here unix.CPUSet
	here.Set(r.queue)
	_ = unix.SchedSetaffinity(0, &here) // a CPU that is not there asks for nothing
	if err := r.register(); err != nil {
		r.server.fail(fmt.Errorf("fuse: io_uring: %w", err))
		return
	}
	limit := pollWithP
	for {
		switch errno := r.uring.Wait(limit); errno {
		case 0, unix.EINTR, unix.EAGAIN, unix.EBUSY:
			limit = pollWithP
		case unix.ETIME:
			limit = 0 // the Go scheduler gets its P back
		default:
			r.server.fail(fmt.Errorf("fuse: io_uring: %w", errno))
			return
		}
		if !r.drain() {
			return
		}
	}
}

// register hands the entries to the kernel, and watches the stop signal.
func (r *ring) register() error {
	if err := r.uring.Enable(); err != nil {
		return err
	}
	for i := range r.entries {
		r.command(i, ringRegister, 0)
	}
	b := r.uring.Submission()
	b[0] = uring.OpPollAdd
	native.PutUint32(b[4:], uint32(r.server.stop))
	native.PutUint32(b[28:], unix.POLLIN)
	native.PutUint64(b[32:], stopData)
	return nil
}

// command writes a submission for entry i.
func (r *ring) command(i int, command uint32, commit uint64) {
	b := r.uring.Submission()
	b[0] = uring.OpCommand
	native.PutUint32(b[4:], uint32(r.server.fd))
	native.PutUint32(b[8:], command)
	native.PutUint64(b[16:], uring.Address(r.entries[i].vectors))
	native.PutUint32(b[24:], 2)
	native.PutUint64(b[32:], uint64(i))
	native.PutUint64(b[56:], commit)
	native.PutUint16(b[64:], uint16(r.queue))
}

// drain serves what has come; false if nothing will come any more.
func (r *ring) drain() bool {
	for {
		data, result, ok := r.uring.Completion()
		switch {
		case !ok:
			return true
		case data == stopData || result < 0: // ENOTCONN: the file system is gone
			return false
		}
		r.serve(int(data))
		if r.req.op == opRead && r.uring.More() {
			r.uring.Enter() // somebody waits for it
		}
	}
}

// serve answers the request in entry i, with the next enter or wait.
func (r *ring) serve(i int) {
	came := now()
	e := &r.entries[i]
	r.buf = e.buf
	n, commit := e.request()
	reply := r.handleOrFail(n)
	if reply == nil {
		reply = r.fail(unix.EIO) // an entry comes back only with an answer
	}
	e.reply(reply)
	r.command(i, ringCommitAndFetch, commit)
	r.observe(now() - came)
	if r.req.op == opRead {
		r.server.cfg.Hold.Event()
	}
}
