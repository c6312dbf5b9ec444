// Package fuse serves one file of pages over the kernel's FUSE protocol, on raw system calls.
//
//	kernel swap ─► loop device ─► the file "pages" ─► /dev/fuse ─► serving thread ─► Store
//
//	thread:  read ─► request: serve it, write the reply, read again
//	           │
//	           └──► nothing: is somebody watching? ─ yes ─► park (futex)
//	                                               └ no ──► watch: spin, then poll
//
// The mount is detached: no path leads to it, only the descriptors of this process and the loop device,
// so nothing is left behind when they are gone.
//
// A few locked OS threads serve. At most one watches the queue and all others are parked, so a request
// wakes one thread and no more, and one CPU at most is spent on spinning. A parked thread joins when
// requests come faster than they are served, or when the one being served takes long.
//
// A request that was read is answered in full or with an error, never in part. On the path of a request
// nothing is allocated, logged or looked up, and no Go lock is taken.
//
// # io_uring
//
// With Config.URing, and where the kernel offers it, requests come to a ring and a thread on each CPU instead: see ring.
// The threads above then answer INIT and FORGET, and serve nothing else. When a server ends, the file is closed
// while the rings still serve, and each ring is unmapped before its descriptor is closed: a request in a ring that
// nobody enters any more holds up the unmount for ever, and a process that waits for that cannot be killed.
//
// # Deadlocks
//
// The process must not touch the file, or the loop device over it, except through Mount: a thread that
// waits for its own answer may hold what the answer needs. Close comes after swapoff and after the loop
// device has let the file go; otherwise every request that waits, and every later one, ends in an error.
//
// # Replacing a server
//
// The connection lives as long as any process holds its descriptor (Fd). A killed server is replaced by
// Adopt in another process: the kernel sends again what the dead one had read and not answered.
package fuse
