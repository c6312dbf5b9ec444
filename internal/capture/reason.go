package capture

import (
	"iter"
	"strings"
)

// Reason is why pages are left out.
type Reason string

// The reasons. The first three are for the programs' sake and can be waived; the others are of the kernel.
const (
	Stack      Reason = "stack"      // of a thread: what a function is working with
	NotDumped  Reason = "not_dumped" // MADV_DONTDUMP: not to be seen in a core file
	Locked     Reason = "locked"     // mlock: where programs hold keys; it is never swapped
	Unreadable Reason = "unreadable" // PROT_NONE and the like: the program itself may not read it
	Device     Reason = "device"     // memory of a device: reading it may do something
	Huge       Reason = "hugetlb"    // from the pool of huge pages: never swapped
	Special    Reason = "special"    // made by the kernel: [vdso], [vvar]
)

// Reasons lists them all.
var Reasons = []Reason{Stack, NotDumped, Locked, Unreadable, Device, Huge, Special}

// String returns the reason as a sentence has it.
func (r Reason) String() string {
	switch r {
	case Stack:
		return "stacks"
	case NotDumped:
		return "not to be dumped"
	case Huge:
		return "huge pages"
	case Device:
		return "device memory"
	case Special:
		return "the kernel's"
	}
	return string(r)
}

// leftOut returns why the pages of a mapping are not eligible, or "". all waives what can be waived.
func (m *mapping) leftOut(stack, all bool) Reason {
	switch {
	case m.is("io"), m.is("pf"):
		return Device
	case m.is("ht"):
		return Huge
	case m.special():
		return Special
	case !m.is("rd"):
		return Unreadable
	case all:
		return ""
	case m.is("lo"):
		return Locked
	case m.is("dd"):
		return NotDumped
	case stack:
		return Stack
	}
	return ""
}

// leftOut gives each of a process's mappings with the reason why its pages are not eligible, or "".
func leftOut(pid int, mappings []mapping, all bool) iter.Seq2[*mapping, Reason] {
	return func(yield func(*mapping, Reason) bool) {
		pointers := stackPointers(pid)
		var below *mapping
		for i := range mappings {
			m := &mappings[i]
			if !yield(m, m.leftOut(isStack(m, below, pointers), all)) {
				return
			}
			below = m
		}
	}
}

// special reports whether the kernel made the mapping for itself.
func (m *mapping) special() bool {
	return strings.HasPrefix(m.name, "[") && m.name != "[heap]" && !strings.HasPrefix(m.name, "[stack") && !strings.HasPrefix(m.name, "[anon")
}
