// Package capture samples the resident anonymous memory of live processes: what the kernel could swap out.
//
//	target ─► Processes ─► Scan ─► Population ─► Sample ─► runs of neighbouring pages ─► a file, or an estimate
//
// eligible: a page that is in memory, belongs to no file and no shared memory, and may be looked at. left out: pages
// that programs want nobody to see, or that cannot be read or swapped; each Reason says which. run: RunPages eligible
// pages that follow each other in the order of process and address, so that codecs for clusters can be measured.
// population: all that is eligible, each page that several processes share counted once.
//
// A process is never stopped, and nothing in it changes: pages that are not in memory are not touched. So processes may
// end and memory may change meanwhile; what is gone is skipped, and so is what is to be left out by the time that the first
// page of its process is read. A process's files are opened once, and show the
// memory that it had then: a process number that is used again, or an execve, leads to no other program.
//
// What cannot be known: the stack of a thread that runs at the moment of the scan, and the stacks of goroutines and
// other coroutines, which look like any other memory; keys that a program did not lock.
package capture
