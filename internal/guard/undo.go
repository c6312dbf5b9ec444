package guard

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Before is what Protect found and a command should get back. It travels to a child as text.
type Before struct {
	IOFlusher        bool   // of the calling thread
	OOMScoreAdj      int    //
	CoreFilter       uint64 // 0: the kernel has none
	LockCur, LockMax uint64 // RLIMIT_MEMLOCK, bytes
}

const beforeFormat = "%t,%d,%x,%d,%d"

func (b Before) String() string {
	return fmt.Sprintf(beforeFormat, b.IOFlusher, b.OOMScoreAdj, b.CoreFilter, b.LockCur, b.LockMax)
}

// ParseBefore reads what String wrote, and nothing else.
func ParseBefore(s string) (b Before, err error) {
	_, err = fmt.Sscanf(s, beforeFormat, &b.IOFlusher, &b.OOMScoreAdj, &b.CoreFilter, &b.LockCur, &b.LockMax)
	if err == nil && b.String() != s {
		err = fmt.Errorf("want %s", b)
	}
	if err != nil {
		return Before{}, fmt.Errorf("guard: %q: %w", s, err)
	}
	return b, nil
}

// now reads the present state.
func now() (b Before) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.IOFlusher = threadFlusher()
	b.OOMScoreAdj, _ = readOOMScore()
	b.CoreFilter, _ = readCoreFilter()
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) == nil {
		b.LockCur, b.LockMax = r.Cur, r.Max
	}
	return b
}

// Undo gives a child of ours back what was before Protect: all that fork and execve do not drop by themselves. The
// io-flusher flag is that of the calling thread, which must be locked to its goroutine and execute the command.
func Undo(b Before) error {
	var errs []error
	if !b.IOFlusher && threadFlusher() {
		if err := unix.Prctl(unix.PR_SET_IO_FLUSHER, 0, 0, 0, 0); err != nil {
			errs = append(errs, fmt.Errorf("guard: clear the io-flusher flag: %w", err))
		}
	}
	if v, err := readOOMScore(); err == nil && v != b.OOMScoreAdj {
		if err := writeOOMScore(b.OOMScoreAdj); err != nil {
			errs = append(errs, fmt.Errorf("guard: restore the OOM score: %w", err))
		}
	}
	if v, err := readCoreFilter(); err == nil && v != b.CoreFilter {
		if err := writeCoreFilter(b.CoreFilter); err != nil {
			errs = append(errs, fmt.Errorf("guard: restore the core filter: %w", err))
		}
	}
	limit := unix.Rlimit{Cur: b.LockCur, Max: b.LockMax}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		errs = append(errs, fmt.Errorf("guard: restore the limit of locked memory: %w", err))
	}
	return errors.Join(errs...)
}

// Check reads every protection back, without changing any.
func Check() []Step {
	return []Step{checkIOFlusher(), checkMemoryLock(), checkOOMScore(), checkCoreFilter()}
}
