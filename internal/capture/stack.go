package capture

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxGuard is more than any guard below a stack has, in bytes, and less than what Go reserves below its heap.
const maxGuard = 1 << 20

// isStack reports whether a mapping is the stack of a thread: the kernel's own for the first thread, one that grows down
// or is named so; or one that holds the stack pointer of a thread and has a guard below, as threads' stacks do, or guard pages inside:
// then it may be several stacks side by side. Where there are stack pointers of several threads and no guard pages is no stack: Go
// has the stacks of all threads in its heap.
func isStack(m, below *mapping, pointers []uint64) bool {
	if strings.HasPrefix(m.name, "[stack") || strings.HasPrefix(m.name, "[anon") && strings.Contains(m.name, "stack") || m.is("gd") {
		return true
	}
	inside := 0
	for _, p := range pointers {
		if p >= m.start && p < m.end {
			inside++
		}
	}
	return inside >= 1 && m.is("gu") || inside == 1 && below != nil && below.end == m.start && below.isGuard()
}

// isGuard reports whether nobody may touch a mapping, and it is small.
func (m *mapping) isGuard() bool {
	return !m.is("rd") && !m.is("wr") && !m.is("ex") && m.end-m.start <= maxGuard
}

// stackPointers returns those of the threads that are not running just now.
func stackPointers(pid int) (list []uint64) {
	dir := filepath.Join(procRoot, strconv.Itoa(pid), "task")
	threads, _ := os.ReadDir(dir)
	for _, t := range threads {
		text, _ := os.ReadFile(filepath.Join(dir, t.Name(), "syscall"))
		if p, ok := parseSyscall(string(text)); ok {
			list = append(list, p)
		}
	}
	return list
}

// parseSyscall reads the stack pointer, the last but one of the numbers in /proc/PID/task/TID/syscall.
func parseSyscall(text string) (pointer uint64, ok bool) {
	f := strings.Fields(text)
	if len(f) < 3 {
		return 0, false // "running"
	}
	p, err := strconv.ParseUint(f[len(f)-2], 0, 64)
	return p, err == nil
}
