// Package serve is the daemon: swap for this machine that outlives the process that serves it.
//
//	Run   protections (guard, by the caller) ─► what did the manager hand us?
//	        nothing             lock, clean what dead ones left ─► pool ─► door ─► all into store (sdnotify) ─► swapon
//	        and swap is on      pool out of the store ─► adopt the door: serving ─► all else
//	        and swap is off     it died before there was swap, or after: give up what was handed, clean, begin anew or end
//	      main loop: signals, orders, what the door says
//	      end   drain ─► store emptied ─► record, pool, lock removed: nothing is left
//	      or    hand over: every request answered, all left in store, exit code sdnotify.HandOver
//
// # What must outlive the process
//
// The handles of the door (see package door), and three of ours:
//
//	namespace  of mounts: that of a unit would go with its last process, and with it the meaning of names in /proc/swaps
//	saved      the settings in force, and how far it had come: a successor goes by it, and reads files when it serves
//	instance   the lock by which a second daemon is refused
//
// The manager, systemd or our own keeper, holds them before the kernel has a page in the pool. So kill -9, a restart, another
// program and a changed configuration are one path: somebody adopts. Without a manager nothing outlives the process.
//
// # Order
//
// Before it serves, a successor must not read anything that may be swapped out, to itself: no file in a tmpfs, no file of
// settings. The store and what is saved are in memory that is never swapped out (arena.MemoryFile).
//
// # One goroutine
//
// All that changes the daemon is done by the main loop, one thing at a time: orders, from whatever goroutine, are sent to it
// and answered. Only swapoff, which takes as long as it takes, has a goroutine of its own.
package serve
