package guard

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pageSize    = 4096
	warmThreads = 16       // OS threads for the Go scheduler to take
	warmPauses  = 500      // of 200 µs, that they wait for each other at most
	heapSlack   = 16 << 20 // beyond what the runtime has, before it collects
	sparseFrom  = 8 << 20  // larger private mappings are tables of the runtime that it uses little of
)

// Warm faults in all that the program needs to run: its code, its data, heap bytes of free Go heap to work in, and threads;
// and sees to it that the runtime stays within that. From then on the program can run although the machine has no free
// memory at all: a fault of ours would wait for memory that waits for us. It must come after everything was set up, and
// before swap is on. It may be called again, for more heap.
func Warm(heap int) error {
	ballast := make([]byte, heap)
	warmUpThreads()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if err := populate(reflect.ValueOf(ballast).Pointer() + uintptr(heap) - 1); err != nil {
		return err
	}
	runtime.KeepAlive(ballast)
	runtime.GC() // the ballast is free heap now, and counts as in use for what the runtime gives back
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(int64(m.Sys) + heapSlack)
	return nil
}

// warmUpThreads makes threads that the scheduler then keeps: to make one, the kernel needs memory. Each waits in the kernel
// until all are there, so that no two goroutines share one.
func warmUpThreads() {
	var all sync.WaitGroup
	var here atomic.Int32
	pause := unix.NsecToTimespec(int64(200 * time.Microsecond))
	for range warmThreads {
		all.Go(func() {
			runtime.LockOSThread()
			here.Add(1)
			for range warmPauses {
				if here.Load() == warmThreads {
					break
				}
				_ = unix.Nanosleep(&pause, nil)
			}
			runtime.UnlockOSThread()
		})
	}
	all.Wait()
}

// populate faults in the mappings of this process that are not shared memory, and of the Go heap what is below an address
// in it: it is used from the bottom.
func populate(heap uintptr) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("fault in what we need: %w", err)
	}
	defer maps.Close()
	type todo struct {
		start, bytes uintptr
		advice       uintptr
	}
	var all []todo
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if m, ok := parseMapping(lines.Text()); ok && m.wanted(heap) {
			if m.start <= heap && heap < m.end {
				m.end = (heap + pageSize) &^ (pageSize - 1)
			}
			all = append(all, todo{m.start, m.end - m.start, m.advice()})
		}
	}
	for _, t := range all {
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, t.start, t.bytes, t.advice)
		// EINVAL: a kernel before 5.14. ENOMEM: the mapping is gone meanwhile.
		if errno != 0 && errno != unix.ENOMEM && errno != unix.EFAULT {
			err = errors.Join(err, fmt.Errorf("fault in %#x, %d bytes: %w", t.start, t.bytes, errno))
		}
	}
	return err
}

// mapping is a line of /proc/self/maps.
type mapping struct {
	start, end uintptr
	perms      string // "rw-p"
	path       string
}

func parseMapping(line string) (m mapping, ok bool) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return m, false
	}
	from, to, _ := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	if err1 != nil || err2 != nil || len(f[1]) != 4 {
		return m, false
	}
	if len(f) > 5 {
		m.path = f[5]
	}
	m.start, m.end, m.perms = uintptr(start), uintptr(end), f[1]
	return m, true
}

// wanted leaves out shared memory, and the large tables of the runtime, which are all but empty.
func (m mapping) wanted(heap uintptr) bool {
	anonymous := m.path == "" || strings.HasPrefix(m.path, "[anon:")
	return m.perms[0] == 'r' && m.perms[3] == 'p' && !strings.HasPrefix(m.path, "[v") &&
		(!anonymous || m.end-m.start < sparseFrom || m.start <= heap && heap < m.end)
}

func (m mapping) advice() uintptr {
	if m.perms[1] == 'w' {
		return unix.MADV_POPULATE_WRITE
	}
	return unix.MADV_POPULATE_READ
}
