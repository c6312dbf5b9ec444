// Package door opens a pool to the kernel's swap, and closes it again in the order that loses nothing.
//
//	kernel swap ─► loop device (swapdev) ─► one-file server (fuse) ─► workers of the pool (zpool)     kind FUSE
//	kernel swap ─► ublk device ─► its server (ublk) ─► the pool's worker                             kind UBLK
//
//	Open    header into slot 0 → serve → attach → Keep → swapon
//	Close   swapoff → detach → stop serving; the pool is the caller's
//
// If a step of Open fails, those before it are undone. Close keeps everything in place as long as the kernel has
// pages in it: while swap is on, the pool and this process are other programs' memory.
//
// # Being replaced
//
// What other programs' pages need to live on without this process is a short list of descriptors, the Handles. While
// another process, a keeper, holds a copy of each, this one may be killed at any instruction, or leave by itself; who
// swaps meanwhile waits. The keeper waits until it is dead and starts the next one, with the descriptors:
//
//	killed           swapdev.Resume → zpool.Open → Adopt → … → Close
//	Release → exit   the same, and no request comes twice
//
//	store    the memory: each page is in it when its write is answered, and each change has one commit point
//	fuse     the connection: requests wait in it, those that were read and not answered come again; or
//	ublk     the device's folder in sysfs, which only says which one it is: requests wait in the driver, and come again likewise
//	run      the lock of the record: while somebody holds it, nobody cleans up
//
// Swap and the device are the kernel's own and need no keeper. If keeper and server die together, all that is
// swapped out is lost, and swapdev.Clean takes the rest away. After Close the handles are worth nothing.
//
// # The whole machine
//
// Where all programs swap to us (Options.WholeMachine) there may be no free page at all, and whoever waits for one may wait for us.
// Choose says which kind of door bears that. The successor must be there before it is needed, see Prepare. While the pool is full,
// or there is no memory for it, the kernel is told not to swap and, at worst, to end a program: see relief.
//
// A keeper must be locked in memory, and should be an I/O flusher, which the server that it starts inherits: if it had to
// wait for a page that is swapped out, it would wait for the server that only it can start. The store itself is never
// swapped out, whoever has it mapped or nobody: see arena.
package door
