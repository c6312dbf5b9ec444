package capture

import (
	"slices"

	"golang.org/x/sys/unix"
)

// twins finds processes that have the very memory of another: vfork and clone(CLONE_VM) make such.
type twins map[layout][]int // processes of one layout, in the kernel's order of their memories

// layout is what the addresses have in common for as long as a program runs: chance has chosen them. Forks have it, too.
type layout struct{ stack, vdso uint64 }

func layoutOf(mappings []mapping) (l layout) {
	for i := range mappings {
		switch m := &mappings[i]; m.name {
		case "[stack]":
			l.stack = m.end // it grows at the other one
		case "[vdso]":
			l.vdso = m.start
		}
	}
	return l
}

// first reports whether no process before had the memory of this one. It is true where the kernel does not tell.
func (t twins) first(pid int, mappings []mapping) bool {
	l := layoutOf(mappings)
	at, found := slices.BinarySearchFunc(t[l], pid, compareMemory)
	if !found {
		t[l] = slices.Insert(t[l], at, pid)
	}
	return !found
}

// compareMemory orders processes by which memory they have: 0 if it is the same.
func compareMemory(a, b int) int {
	const memory = 1 // KCMP_VM
	order, _, err := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), memory, 0, 0, 0)
	switch {
	case err == 0 && order == 0:
		return 0
	case err == 0 && order == 1:
		return -1
	}
	return 1 // or one has ended
}
