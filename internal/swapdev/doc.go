// Package swapdev turns an open file into a swap device, and takes it away again.
//
//	file ─► loop device (4 KiB blocks, direct I/O, our tag) ─► swapon ─► the kernel swaps to it
//
//	Header      the page 0 that the file must hold before SwapOn
//	Attach      a free loop device gets the file            (state: attached)
//	SwapOn      the kernel starts to use it                 (state: on)
//	SwapOff     everything comes back into memory           (state: attached)
//	Detach      the loop device is free again               (state: detached)
//
// The file is normally served by our own FUSE server, so every call here that makes the kernel
// read or write it (SwapOn, SwapOff) needs that server alive and answering, on other threads.
//
// A Target is a block device or a file that needs no loop device: SwapOn and SwapOff are the same. A run may have a swap file
// (Run.CreateFile) or a zram device (Run.SetZRAM), and a changed vm.page-cluster (Run.SetPageCluster).
//
// # What survives us
//
// A loop device is attached with autoclear: when its last user goes away (we die before SwapOn),
// the kernel detaches it. Swap that is on outlives us. So each run keeps a Run: a record in a state
// directory, written before each step is done, and a lock that the kernel drops when we die. Clean
// takes the records whose lock is free and undoes what they name, if the tag still matches.
//
// A lock is free when nobody has a copy of its descriptor any more. So a process that keeps what a killed one served,
// for its successor, keeps the lock as well, and the successor goes on with the same record: Resume.
//
// # Why swapoff runs in a helper process
//
// While swapoff(2) runs the kernel marks the whole calling process as the first to be killed when
// memory runs out, whatever its oom_score_adj says; and the call ends early when any signal
// reaches its thread, which the Go runtime sends to itself at will. A helper has neither problem
// and can be killed when a time limit passes. Call Main first in main() to make it available;
// without it, or where it cannot start, SwapOff calls swapoff(2) itself.
package swapdev
