// Package zram drives the kernel's own compressed block device, as the yardstick that benchmarks hold against zswapd.
//
//	Create ─► hot_add ─► comp_algorithm, disksize ─► SwapOn … SwapOff ──► Remove: reset, hot_remove
//	                                             └─► WritePages, ReadPages ─┘
//
// Create always makes a device of its own and never touches one that is there. Remove undoes everything, in any
// state; call it on every way out, for a device outlives the process that made it.
//
// # What a page costs
//
// mm_stat counts the zsmalloc pool only. Memory adds what zram needs besides it: 16 bytes of slot table for
// each page of the disk's size, used or not, and an 8-byte handle for each stored object. The object's own
// header, 8 bytes more, lies in the pool.
//
// # Page I/O
//
// The file is open for direct I/O, so that a page goes through no page cache. zram works inside the system
// call, on the caller's CPU, page by page. Hence large calls show it at its best: the cost of the call and of the
// block layer, 1 µs or so, is shared by the pages of a call. BenchmarkWrite and BenchmarkRead have the figures.
package zram
