// Package arena is one sparse file of memory that outlives the process, mapped once.
//
//	file     |superblock|tables ........|frames ..................................|   offsets in bytes
//	memory    ████       ██  █           ███ ██      █  ████                          only what is committed
//
// frame: 4 KiB. An offset range is reserved by the arena's size, costs nothing, and must be committed before
// it is touched: Commit asks the kernel for the memory (an error, where a plain touch would be a signal) and
// takes it from the Budget; Release punches a hole and gives it back. Committed memory starts as zeros.
// The Budget is the one place where memory is counted.
//
// There are two kinds with the same methods. The mapped one is a file in memory without a name, shared with whoever
// holds its descriptor, excluded from core dumps, and never swapped out where that can be had, else a memfd. The heap
// one is Go memory, because the race detector does not see mapped memory: New makes it in race builds. It also panics
// when memory that is not committed is touched.
package arena
