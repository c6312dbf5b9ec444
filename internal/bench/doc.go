// Package bench measures the whole pool with pages of real programs, beside the kernel's zram with the very same pages.
//
//	corpus × threads ─► round: every system opens a new, empty store
//	                      block of pages ─► store: system A, B, …   ─► memory
//	                      block of pages ─► load:  system A, B, …   ─► each page compared
//	                      block of pages ─► restore (over older pages)
//	                      and all of it again in new stores, each page timed by itself
//	                 ─► freed: 50 % of the pages, and 90 %; before and after compaction
//
// system: zswapd with one codec, or zram with one algorithm. block: 512 pages of each thread, which one system gets after
// the other, so that all meet the same noise of the machine; who is first changes from block to block. A figure is the
// mean over blocks of the median over rounds.
//
// # What is kept out of the figures
//
// The first round is not counted: the memory that it takes is new to a virtual machine, whose host then must find it first.
// Threads are pinned to one CPU each and have their own part of the pages. Pages to store are read just before, and
// memory to load to is written, so that every system finds them in the cache. A pool gets its pages one by one, as faults
// come; zram gets 64 a system call, which is its best, and is also shown with a page a call. Comparing pages, making stores
// and removing them are not timed.
//
// # What it leaves behind
//
// Nothing: devices are made anew and removed on every way out of Run, the end of its context among them. What a kill leaves
// is on record: the next start of zswapd removes it.
package bench
