package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// keeper starts servers, each when the one before is dead, and holds copies of their handles. It belongs to the
// goroutine that made it.
type keeper struct {
	t      *testing.T
	state  string         // folder of the record
	held   map[string]int // our copies of the handles, by name
	record swapdev.Record // as it was when we got them
	server *server        // nil between two
}

// server is a process that serves, or is about to.
type server struct {
	process *os.Process
	socket  *os.File // our end
	at      map[stage]time.Duration
	last    event
}

const (
	eventLimit = 3 * time.Minute // for an event that must come
	deathLimit = 2 * time.Minute // for a process that is to end
)

// newKeeper starts the first server, which opens the door. When the test ends the door is closed, whatever happened.
func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := prepareKeeper(t)
	noErr(t, k.start())
	noErr(t, k.reach(kept))
	noErr(t, k.order(goOn))
	noErr(t, k.reach(serving))
	return k
}

func prepareKeeper(t *testing.T) *keeper {
	t.Helper()
	needRoot(t)
	needKeepable(t)
	k := &keeper{t: t, state: newState(t), held: map[string]int{}}
	runtime.LockOSThread() // a server dies with the thread that started it
	t.Cleanup(func() {
		k.takeDown()
		runtime.UnlockOSThread()
	})
	return k
}

// keepable reports whether pools of this build can outlive a process.
func keepable(t *testing.T) bool {
	p, err := zpool.New(zpool.Options{Slots: 1, MaxBytes: zpool.MinBytes})
	noErr(t, err)
	defer p.Close()
	return p.File() != nil
}

func needKeepable(t *testing.T) {
	t.Helper()
	if !keepable(t) {
		t.Skip("the store is in Go memory, as race builds have it: nobody else can open it")
	}
}

// start starts a server: one that opens a door if we hold nothing, else one that adopts it.
func (k *keeper) start() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pair[1])
	if err := unix.SetNonblock(pair[0], true); err != nil { // so that it has deadlines
		return errors.Join(err, unix.Close(pair[0]))
	}
	s := &server{socket: os.NewFile(uintptr(pair[0]), "server"), at: map[stage]time.Duration{}}
	args, files := []string{os.Args[0], serverPart, k.state}, []uintptr{0, 1, 2, uintptr(pair[1])}
	for name, fd := range k.held {
		args, files = append(args, name), append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec("/proc/self/exe", args, &syscall.ProcAttr{
		Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err == nil {
		s.process, err = os.FindProcess(pid)
	}
	if err != nil {
		return errors.Join(err, s.socket.Close())
	}
	k.server = s
	return nil
}

// slow is by how much longer things may take in an emulated machine that is short of memory.
func slow() int {
	if whole != nil {
		return 5
	}
	return 1
}

var errEnded = errors.New("the server has ended")

// receive returns the next event, and the descriptors that came with it.
func (s *server) receive(deadline time.Time) (fds []int, err error) {
	if err := s.socket.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*8))
	var n, c int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, c, _, _, failed = unix.Recvmsg(int(fd), text, control, unix.MSG_CMSG_CLOEXEC)
		return failed != unix.EAGAIN
	})
	switch {
	case err != nil:
		return nil, err
	case failed != nil:
		return nil, failed
	case n == 0:
		return nil, errEnded
	}
	s.last = event{}
	if err := json.Unmarshal(text[:n], &s.last); err != nil {
		return nil, err
	}
	if _, seen := s.at[s.last.Stage]; !seen {
		s.at[s.last.Stage] = s.last.At
	}
	if c == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control[:c])
	if err != nil {
		return nil, err
	}
	return unix.ParseUnixRights(&messages[0])
}

// reach waits until the server is at the stage or beyond, and holds what it is given.
func (k *keeper) reach(want stage) error {
	s := k.server
	for deadline := time.Now().Add(eventLimit); slices.Index(stages, s.last.Stage) < slices.Index(stages, want); {
		fds, err := s.receive(deadline)
		if err == nil && len(fds) > 0 {
			err = k.hold(fds)
		}
		if err != nil {
			return fmt.Errorf("a server at stage %q is to be %q: %w", s.last.Stage, want, err)
		}
	}
	return nil
}

func (k *keeper) hold(fds []int) error {
	e := k.server.last
	if len(fds) != len(e.Names) {
		return fmt.Errorf("%d descriptors for %v", len(fds), e.Names)
	}
	for i, name := range e.Names {
		k.held[name] = fds[i]
	}
	k.record = e.Record
	return nil
}

func (k *keeper) order(text string) error {
	_, err := k.server.socket.Write([]byte(text))
	return err
}

// end waits until the server is dead, all its threads with it, and returns it with its last event. It reads what the server tells
// until then: one that has told much waits for that.
func (k *keeper) end() (*server, *os.ProcessState, error) {
	s := k.server
	var err error
	for deadline := time.Now().Add(deathLimit * time.Duration(slow())); err == nil; {
		_, err = s.receive(deadline)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return s, nil, fmt.Errorf("process %d does not end", s.process.Pid)
	}
	if errors.Is(err, errEnded) {
		err = nil
	}
	type ended struct {
		state *os.ProcessState
		err   error
	}
	done := make(chan ended, 1)
	go func() {
		state, err := s.process.Wait()
		done <- ended{state, err}
	}()
	select {
	case e := <-done:
		k.server = nil
		return s, e.state, errors.Join(e.err, err, s.socket.Close())
	case <-time.After(deathLimit * time.Duration(slow())):
		return s, nil, fmt.Errorf("process %d, which has closed its socket, does not end: %w", s.process.Pid, err)
	}
}

// kill kills the server and waits until it is dead.
func (k *keeper) kill() (*server, error) {
	if err := k.server.process.Kill(); err != nil {
		return nil, err
	}
	s, state, err := k.end()
	if err == nil {
		if w, ok := state.Sys().(syscall.WaitStatus); !ok || w.Signal() != syscall.SIGKILL {
			err = fmt.Errorf("a server at stage %q ended by itself: %v", s.last.Stage, state)
		}
	}
	return s, err
}

// obeyed gives the server its last order and waits until it has exited without an error.
func (k *keeper) obeyed(text string, then stage) (*server, error) {
	if err := errors.Join(k.reach(serving), k.order(text)); err != nil {
		return nil, err
	}
	s, state, err := k.end()
	if err == nil && (!state.Success() || s.last.Stage != then) {
		err = fmt.Errorf("a server told to %s: %v at stage %q", text, state, s.last.Stage)
	}
	return s, err
}

// serve sees to it that there is a server, and that it serves, as long as the door is not closed.
func (k *keeper) serve() error {
	switch {
	case k.server == nil && len(k.held) == 0:
		return nil
	case k.server == nil:
		if err := k.start(); err != nil {
			return err
		}
	}
	return k.reach(serving)
}

// takeDown closes the door, with a new server if there is none. If that fails, the connection is ended by force, so that
// nobody waits any more, a server for itself among them, and what is left is cleaned.
func (k *keeper) takeDown() {
	if _, err := k.close(); err != nil {
		k.t.Errorf("close: %v", err)
		if k.record.UBLK == "" {
			k.t.Logf("end the connection: %v", endConnection(k.record))
		}
		if k.server != nil {
			_, err := k.kill()
			k.t.Logf("the server: %v", err)
		}
	}
	k.giveUp()
	report, err := swapdev.Clean(context.Background(), k.state, swapdev.CleanOptions{})
	if len(report) > 0 || err != nil {
		k.t.Errorf("left to be cleaned: %q, %v", report, err)
	}
	nothingLeft(k.t, k.record)
	emptyState(k.t, k.state)
}

// endConnection makes the kernel end the FUSE connection behind a loop device: all I/O on it fails from now on.
func endConnection(r swapdev.Record) error {
	loop, err := os.Open(r.Loop)
	if err != nil {
		return err
	}
	defer loop.Close()
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if err != nil {
		return err
	}
	if name := unix.ByteSliceToString(info.File_name[:]); name != r.Tag {
		return fmt.Errorf("%s has %q", r.Loop, name)
	}
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, fmt.Sprintf("%d/abort", unix.Minor(info.Device)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("1"))
	return errors.Join(err, unix.Close(fd))
}

// close makes a server close the door, and returns it. A second call does nothing.
func (k *keeper) close() (*server, error) {
	err := k.serve()
	if k.server == nil || err != nil {
		return nil, err
	}
	s, err := k.obeyed(closeNow, closed)
	if err == nil {
		k.giveUp()
	}
	return s, err
}

// giveUp closes our copies of the handles.
func (k *keeper) giveUp() {
	for name, fd := range k.held {
		_ = unix.Close(fd)
		delete(k.held, name)
	}
}
