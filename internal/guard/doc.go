// Package guard keeps the daemon from waiting for its own swap device, and from being the one that
// is killed when memory runs out.
//
//	Protect   first in main; executes the program anew once, so that every thread is covered
//	Check     the same facts, read back at any later time
//	Undo      in a child, before it executes a command that should have none of this
//
// and, where the whole machine swaps to us:
//
//	Warm      when all is set up: faults in whatever we may touch, so that we never wait for a free page
//	Provider  on the one thread that does wait for free pages
//
// and, for a service, against others:
//
//	LimitPowers  before it is executed: no more capabilities than a service needs, for good
//	DropPowers   when it serves: those that it needs no longer
//	Hide         nobody of its own user looks into it
//
// The steps, what the kernel gives for each, and what it needs:
//
//	io-flusher    PR_SET_IO_FLUSHER: our allocations never wait for swap-out or  CAP_SYS_RESOURCE
//	              file system I/O, which would come back to us
//	memory-lock   mlockall: none of our pages is swapped out. On fault: a sparse CAP_IPC_LOCK, or an
//	              mapping is locked page by page as it is used, not filled        unlimited RLIMIT_MEMLOCK
//	oom-score     oom_score_adj -1000: the OOM killer passes us by               CAP_SYS_RESOURCE
//	core-filter   what others have swapped out is not written into our core dump nothing
//
// The io-flusher flag belongs to a thread and is inherited by the threads that it makes, and the Go
// runtime has made several before main. But it also survives execve, which leaves just the calling
// thread. So: set it on one thread, execute ourselves again, and every thread of the new life has it.
// Memory locks do not survive execve, so they come after. The flags are then read back for every
// thread: a call that does nothing looks just like one that works.
//
// Without a privilege a step fails, says what would help, and the others go on.
package guard
