package uring

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// Operations that we use (include/uapi/linux/io_uring.h).
const (
	OpPollAdd = 6
	OpCommand = 46
)

const (
	setupDisabled     = 1 << 6 // of setup: nothing is taken until Enable
	setupSQE128       = 1 << 10
	setupSingleIssuer = 1 << 12 // only the thread that enables it enters
	setupDeferTaskrun = 1 << 13 // the kernel's part of a completion runs when we wait
	setupNoSQArray    = 1 << 16

	enterGetEvents = 1 << 0 // of enter: get events
	enterTimed     = 1 << 3
	registerEnable = 12

	submissionsAt = 0x10000000 // for mmap
	sqeBytes      = 128
	cqeBytes      = 16
)

// A Ring is an io_uring of 128-byte submissions, for one thread: the one that calls Enable.
type Ring struct {
	fd             int
	rings, entries []byte // mapped
	sqHead, sqTail *atomic.Uint32
	cqHead, cqTail *atomic.Uint32
	sqMask, cqMask uint32
	completions    []byte
	tail           uint32 // of the submissions that were written
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq, cq                                               struct {
		head, tail, mask, entries uint32
		array                     [4]uint32 // sq: flags, dropped, array; cq: overflow, cqes, flags
		user                      uint64
	}
}

// New makes a ring with room for n submissions, still disabled.
func New(n uint32) (*Ring, error) {
	p := params{flags: setupDisabled | setupSQE128 | setupSingleIssuer | setupDeferTaskrun | setupNoSQArray}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	u := &Ring{fd: int(fd)}
	unix.CloseOnExec(u.fd)
	at := p.cq.array[1]
	var err error
	if u.rings, err = u.mmap(0, int(at+p.cqEntries*cqeBytes)); err == nil {
		u.entries, err = u.mmap(submissionsAt, int(p.sqEntries*sqeBytes))
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("mmap", err), u.Close())
	}
	u.sqHead, u.sqTail, u.sqMask = u.word(p.sq.head), u.word(p.sq.tail), u.word(p.sq.mask).Load()
	u.cqHead, u.cqTail, u.cqMask = u.word(p.cq.head), u.word(p.cq.tail), u.word(p.cq.mask).Load()
	u.completions = u.rings[at:]
	return u, nil
}

func (u *Ring) mmap(at int64, size int) ([]byte, error) {
	return unix.Mmap(u.fd, at, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
}

func (u *Ring) word(at uint32) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&u.rings[at])) }

// Close gives the ring up. The mappings go first: as long as one is there the kernel keeps the ring, and with it
// requests that nobody will answer.
func (u *Ring) Close() error {
	var err error
	for _, b := range [][]byte{u.rings, u.entries} {
		if b != nil {
			err = errors.Join(err, unix.Munmap(b))
		}
	}
	return errors.Join(err, unix.Close(u.fd))
}

// Enable makes the calling thread the one that enters.
func (u *Ring) Enable() error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), registerEnable, 0, 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("io_uring_register", errno)
	}
	return nil
}

// Submission returns a cleared submission, to be written before the next enter. There is always room: nobody submits
// More at a time than New was asked for.
func (u *Ring) Submission() []byte {
	i := u.tail & u.sqMask
	u.tail++
	b := u.entries[i*sqeBytes : (i+1)*sqeBytes]
	clear(b)
	return b
}

// Enter submits what was written and does not wait.
func (u *Ring) Enter() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), u.submit(), 0, enterGetEvents, 0, 0)
	return errno
}

// Wait submits what was written and sleeps until there is a completion, without telling the Go scheduler and for at most
// limit: ETIME. With limit 0 it sleeps as long as it takes, and the scheduler knows.
func (u *Ring) Wait(limit time.Duration) unix.Errno {
	if limit == 0 {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), u.submit(), 1, enterGetEvents, 0, 0)
		return errno
	}
	timeout := unix.NsecToTimespec(int64(limit))
	arg := struct {
		sigmask            uint64
		sigmaskBytes, zero uint32
		timeout            *unix.Timespec
	}{timeout: &timeout}
	_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), u.submit(), 1, enterGetEvents|enterTimed,
		uintptr(unsafe.Pointer(&arg)), unsafe.Sizeof(arg))
	return errno
}

// submit publishes what was written and returns how much the kernel has not taken yet.
func (u *Ring) submit() uintptr {
	u.sqTail.Store(u.tail)
	return uintptr(u.tail - u.sqHead.Load())
}

// Completion takes the next completion, if there is one.
func (u *Ring) Completion() (data uint64, result int32, ok bool) {
	head := u.cqHead.Load()
	if head == u.cqTail.Load() {
		return 0, 0, false
	}
	c := u.completions[(head&u.cqMask)*cqeBytes:]
	data, result = native.Uint64(c), int32(native.Uint32(c[8:]))
	u.cqHead.Store(head + 1)
	return data, result, true
}

// More reports whether another completion is there.
func (u *Ring) More() bool { return u.cqHead.Load() != u.cqTail.Load() }

// Address returns where b lies, for the kernel. b must not be Go memory.
func Address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
