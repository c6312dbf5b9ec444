package fuse

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Adopt serves a connection whose server is dead and which another process has kept alive by holding its
// descriptor. It owns fd from now on, errors included. The kernel is asked to send again what the dead server
// had read and not answered; before Linux 6.9 it cannot, and who asked for that waits for ever: Stats.Resend says so.
// cfg.Pages must be what the connection was made with.
//
// The dead server must be dead: a request that both serve may be answered with the older data. That wait(2), or a pidfd,
// tells of its end is enough: it does when the last thread is gone.
//
// # Why it does no harm to serve a request twice, and out of order
//
// What the dead server had done and not answered is done again, by several threads, in the order of the kernel's hash
// table and beside requests that are new. That loses nothing because the kernel has at most one request for a page under
// way, and a request that was not answered is under way:
//
//   - WRITE: the page is under writeback until the answer, and stays in the swap cache: nobody reads, writes or frees its
//     slot meanwhile. The same bytes are stored once more.
//   - READ: it changes nothing, and the page is locked in the swap cache until the answer.
//   - FALLOCATE: the slots are free, and none is given out before the discard is answered.
//
// A dead server's Store may have been killed between any two instructions; that it then left the old page or the new one
// is what the Store has to see to.
func Adopt(fd int, cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("fuse: %w", errors.Join(err, unix.Close(fd)))
	}
	s, err := newServer(fd, cfg)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	if err := s.adopt(); err != nil {
		close(s.gone)
		return nil, fmt.Errorf("fuse: adopt: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Server) adopt() error {
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	switch err := resend(s.fd); {
	case err == nil:
		s.flags.Store(initHasResend)
	case !errors.Is(err, unix.EINVAL): // which is Linux before 6.9: what was read and not answered is lost, and the rest goes on
		return err
	}
	return s.start()
}

// resend moves all requests that were read and not answered back into the queue, before those that wait.
func resend(fd int) error {
	var note [outHeaderBytes]byte // a reply to request 0 is a notification: its code stands in the place of the error
	native.PutUint32(note[:], uint32(len(note)))
	native.PutUint32(note[4:], notifyResend)
	_, err := unix.Write(fd, note[:])
	return os.NewSyscallError("write resend", err)
}
