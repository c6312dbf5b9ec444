package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Bits of a thread's flags, as /proc/…/stat shows them: PF_MEMALLOC_NOIO (since Linux 3.9) and PF_LOCAL_THROTTLE
// (5.8; PF_LESS_THROTTLE before, the same bit). They are no promise of the kernel's, so a test measures them.
const (
	flagNoIO     = 0x0008_0000
	flagThrottle = 0x0010_0000
	flagsFlusher = flagNoIO | flagThrottle
)

// flushers counts our threads, and those of them that carry the flags.
func flushers() (threads, covered int, err error) {
	paths, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		return 0, 0, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		flags, err := parseFlags(string(text))
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		threads++
		if flags&flagsFlusher == flagsFlusher {
			covered++
		}
	}
	if threads == 0 {
		return 0, 0, fmt.Errorf("no thread in /proc/self/task")
	}
	return threads, covered, nil
}

// parseFlags returns field 9 of a stat line. Field 2, the name, is in parentheses and may hold anything.
func parseFlags(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from field 3 on
	if len(fields) < 7 {
		return 0, fmt.Errorf("no thread status: %q", stat)
	}
	return strconv.ParseUint(fields[6], 10, 64)
}

func checkIOFlusher() Step {
	s := Step{Name: IOFlusher, Remedy: needResource}
	threads, covered, err := flushers()
	switch {
	case err != nil:
		s.Detail, s.Remedy = err.Error(), "mount /proc"
	case covered < threads:
		s.Detail = fmt.Sprintf("on for %d of %d threads", covered, threads)
	default:
		s.OK, s.Remedy = true, ""
		s.Detail = fmt.Sprintf("on for all %d threads", threads)
	}
	return s
}

// threadFlusher reports whether the calling thread carries the flags.
func threadFlusher() bool {
	text, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		return false
	}
	flags, err := parseFlags(string(text))
	return err == nil && flags&flagsFlusher == flagsFlusher
}
