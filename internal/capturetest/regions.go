package capturetest

import (
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/pagegen"
)

// last is the memory of the region that was filled last.
var last []byte

// fill maps a region and fills it. It reports false if the kernel has no such memory.
func fill(sort string, pages int) bool {
	switch sort {
	case "file": // of another's pages, of which the first quarter is written to
		mem := mmap(temporary(pages), pages, unix.MAP_PRIVATE)
		touch(mem)
		write(mem[:len(mem)/4], sort)
		return true
	case "rare": // a page a GiB, of terabytes of addresses
		mem, err := unix.Mmap(-1, 0, pages<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		must(err)
		must(unix.Madvise(mem, unix.MADV_NOHUGEPAGE))
		for i := range pages {
			fillPage(mem[i<<30+i*pagegen.PageSize:][:pagegen.PageSize], sort, i)
		}
		return true
	case "shared":
		write(mmap(-1, pages, unix.MAP_SHARED|unix.MAP_ANON), sort)
		return true
	case "secret":
		fd, err := unix.MemfdSecret(0)
		if err != nil {
			return false
		}
		must(unix.Ftruncate(fd, int64(pages)*pagegen.PageSize))
		write(mmap(fd, pages, unix.MAP_SHARED), sort)
		return true
	}
	mem := mmap(-1, pages, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(unix.Madvise(mem, unix.MADV_NOHUGEPAGE))
	switch sort {
	case "zero": // read, never written
		touch(mem)
	case "holes": // every other page
		for i := 0; i < pages; i += 2 {
			fillPage(mem[i*pagegen.PageSize:][:pagegen.PageSize], sort, i)
		}
	default:
		write(mem, sort)
	}
	switch sort {
	case "dontdump":
		must(unix.Madvise(mem, unix.MADV_DONTDUMP))
	case "locked":
		must(unix.Mlock(mem))
	case "unreadable":
		must(unix.Mprotect(mem, unix.PROT_NONE))
	case "everything": // all of the process is locked
		must(unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE))
	}
	return true
}

func mmap(fd, pages, flags int) []byte {
	mem, err := unix.Mmap(fd, 0, pages*pagegen.PageSize, unix.PROT_READ|unix.PROT_WRITE, flags)
	must(err)
	last = mem
	return mem
}

// temporary returns a file of pages that are not all alike.
func temporary(pages int) (fd int) {
	f, err := os.CreateTemp("", "zswapd-test-")
	must(err)
	must(f.Truncate(int64(pages) * pagegen.PageSize))
	mem := mmap(int(f.Fd()), pages, unix.MAP_SHARED)
	write(mem, "original")
	must(unix.Munmap(mem))
	must(os.Remove(f.Name()))
	return int(f.Fd())
}

func write(mem []byte, sort string) {
	for i := range len(mem) / pagegen.PageSize {
		fillPage(mem[i*pagegen.PageSize:][:pagegen.PageSize], sort, i)
	}
}

// touch reads each page.
func touch(mem []byte) {
	var sum byte
	for i := 0; i < len(mem); i += pagegen.PageSize {
		sum += mem[i]
	}
	runtime.KeepAlive(sum) // so that the reads are not left out
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fork makes a process that shares all memory with us and waits for ever. It must not run any Go: it is one thread of many.
//
//go:norace
func fork() (pid int) {
	runtime.LockOSThread() // it ends with this thread
	r, _, _ := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if r == 0 {
		unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	return int(r)
}

// vforked is the number of the process that vfork made.
var vforked atomic.Int64

// vfork makes a process that has our memory, this stack included, and waits for ever, and we for it.
//
//go:norace
func vfork() {
	runtime.LockOSThread()
	r, _, _ := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD|unix.CLONE_VM|unix.CLONE_VFORK), 0, 0, 0, 0, 0)
	if r == 0 {
		unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		pid, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		vforked.Store(int64(pid))
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
}
