package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/sdnotify"
)

// socket is where the daemon speaks to us. A goroutine waits for it; the keeper's own reads.
type socket struct {
	fd       int
	path     string
	file     int       // what is at the path: a daemon gets a copy, as somebody may remove it there
	readable chan bool // there is something; the goroutine then waits for again
	again    chan bool
	text     []byte
	control  []byte
}

// packet is what came in one datagram. It is good until the next one is received.
type packet struct {
	pid  int // who sent it, as the kernel knows
	text []byte
	fds  []int
}

// take returns the first descriptor, -1 without one.
func (p *packet) take() (fd int) {
	if len(p.fds) == 0 {
		return -1
	}
	fd, p.fds = p.fds[0], p.fds[1:]
	return fd
}

// close closes the descriptors that nobody took.
func (p *packet) close() {
	for _, fd := range p.fds {
		_ = unix.Close(fd)
	}
}

const socketPattern = "keeper-*.sock"

// listen makes the socket, in a folder that only root may enter.
func listen(dir string) (s *socket, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	removeStale(dir)
	s = &socket{path: filepath.Join(dir, fmt.Sprintf("keeper-%d.sock", os.Getpid())), readable: make(chan bool), again: make(chan bool),
		text:    make([]byte, sdnotify.MaxMessage),
		control: make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(sdnotify.MaxDescriptors*4))}
	_ = os.Remove(s.path) // of a process that had our number
	if s.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	old := unix.Umask(0o177)
	err = unix.Bind(s.fd, &unix.SockaddrUnix{Name: s.path})
	unix.Umask(old)
	if err == nil {
		s.file, err = unix.Open(s.path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	}
	if err == nil {
		err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "listen", Path: s.path, Err: err}, unix.Close(s.fd))
	}
	go s.run()
	return s, nil
}

// removeStale removes the sockets of keepers that were killed: nobody answers there.
func removeStale(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, socketPattern))
	for _, path := range paths {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		if unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == unix.ECONNREFUSED {
			_ = os.Remove(path)
		}
		_ = unix.Close(fd)
	}
}

func (s *socket) close() error {
	err := os.Remove(s.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, unix.Close(s.file), unix.Close(s.fd))
}

// run tells when there is something to read.
func (s *socket) run() {
	wait := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		if n, _ := unix.Poll(wait, -1); n > 0 {
			s.readable <- true
			<-s.again
		}
	}
}

// receive calls hear for each datagram that is there. What does not fit is cut short and means nothing.
func (s *socket) receive(hear func(*packet)) {
	for {
		n, c, _, _, err := unix.Recvmsg(s.fd, s.text, s.control, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		p := parse(s.text[:n], s.control[:c])
		hear(&p)
		p.close()
	}
}

// parse reads a datagram and what came with it.
func parse(text, control []byte) packet {
	p := packet{text: text}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return p
	}
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			p.pid = int(cred.Pid)
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			p.fds = append(p.fds, fds...)
		}
	}
	return p
}
