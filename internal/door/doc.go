// Package door opens a pool to the kernel's swap, and closes it again in the order that loses nothing.
//
//	kernel swap ─► loop device (swapdev) ─► one-file server (fuse) ─► workers of the pool (zpool)
//
//	Open    header into slot 0 → serve → attach → swapon
//	Close   swapoff → detach → stop serving; the pool is the caller's
//
// If a step of Open fails, those before it are undone. Close keeps everything in place as long as the kernel has
// pages in it: while swap is on, the pool and this process are other programs' memory.
package door
