package ublk

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/uring"
)

// pollWithP is how long a wait keeps the Go scheduler's P. Traffic comes back sooner as a rule, and then the scheduler need
// not find us a P again; afterwards the P is free, and we sleep for good.
const pollWithP = time.Millisecond

// stopData names the completion of the stop signal; those of tags have their number.
const stopData = 1 << 32

// run is the queue's thread. It waits for a device, and serves until there is none any more, or it is told to stop.
func (s *Server) run() {
	defer close(s.gone)
	s.tid = unix.Gettid()
	debug.SetPanicOnFault(true)
	if err := s.ring.Enable(); err != nil {
		s.step <- err
		return
	}
	s.step <- nil
	if _, ok := <-s.begin; !ok {
		return // there is to be no device
	}
	err := s.fetch()
	s.step <- err
	if err == nil {
		s.serve()
	}
}

// fetch asks for requests on all tags, in one system call, and then maps the descriptors: see the package's comment.
func (s *Server) fetch() error {
	for tag := range s.tags() {
		s.command(tag, ioFetchReq, 0)
	}
	b := s.ring.Submission()
	b[0] = uring.OpPollAdd
	native.PutUint32(b[4:], uint32(s.stop))
	native.PutUint32(b[28:], unix.POLLIN)
	native.PutUint64(b[32:], stopData)
	if errno := s.ring.Enter(); errno != 0 {
		return os.NewSyscallError("io_uring_enter", errno)
	}
	step("attach: fetched")
	size := (s.tags()*descBytes + pageBytes - 1) &^ (pageBytes - 1)
	var err error
	defer step("attach: mapped")
	s.descs, err = unix.Mmap(s.char, 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	for {
		data, result, ok := s.ring.Completion()
		switch {
		case !ok:
			return os.NewSyscallError("map the descriptors", err)
		case data != stopData && result < 0:
			return fmt.Errorf("the driver refuses to serve tag %d: %w", data, unix.Errno(-result))
		case err == nil:
			s.pend(data, result) // a newer driver may have a request as soon as the last tag is fetched
		}
	}
}

// command writes a submission for a tag.
func (s *Server) command(tag int, command uint32, result int32) {
	b := s.ring.Submission()
	b[0] = uring.OpCommand
	native.PutUint32(b[4:], uint32(s.char))
	native.PutUint32(b[8:], command)
	native.PutUint64(b[32:], uint64(tag))
	p := b[commandAt:]
	native.PutUint16(p[2:], uint16(tag)) // of queue 0; the address stays 0: we copy ourselves
	native.PutUint32(p[4:], uint32(result))
}

// pend takes a completion.
func (s *Server) pend(data uint64, result int32) {
	switch {
	case data == stopData:
		s.stopping = true
	case result < 0: // ENODEV: the device goes away, or is not ours any more
		s.over = true
	case native.Uint32(s.descs[data*descBytes:])&0xff == opRead:
		s.reads = append(s.reads, int(data))
	default:
		s.others = append(s.others, int(data))
	}
}

// next takes a tag to serve, reads first: somebody waits for them.
func (s *Server) next() (tag int, ok bool) {
	list := &s.reads
	if len(*list) == 0 {
		list = &s.others
	}
	if len(*list) == 0 {
		return 0, false
	}
	tag = (*list)[0]
	copy(*list, (*list)[1:])
	*list = (*list)[:len(*list)-1]
	return tag, true
}

// serve answers requests until there will be none any more. Those that it has taken are answered in any case.
func (s *Server) serve() {
	keepP := runtime.GOMAXPROCS(0) > 1
	limit := pollWithP
	for {
		for {
			data, result, ok := s.ring.Completion()
			if !ok {
				break
			}
			s.pend(data, result)
		}
		if tag, ok := s.next(); ok {
			s.command(tag, ioCommitAndFetchReq, s.handleOrFail(tag))
			if len(s.reads)+len(s.others) > 0 {
				s.ring.Enter() // the answer does not wait for those that are left, and more may have come
			}
			continue
		}
		if s.over || s.stopping {
			s.ring.Enter() // what was committed last; if more has come, the kernel keeps it for the next server
			return
		}
		if !keepP {
			limit = 0
		}
		s.stats.waits.Add(1)
		switch errno := s.ring.Wait(limit); errno {
		case 0, unix.EINTR, unix.EAGAIN, unix.EBUSY:
			limit = pollWithP
		case unix.ETIME:
			limit = 0 // the Go scheduler gets its P back
		default:
			s.fail(fmt.Errorf("ublk: io_uring: %w", errno))
			return
		}
	}
}
