// Package cgroup puts a command into a memory cgroup of its own and reads what became of it.
//
//	Create ─► Group ─► SetLimit, Add, Stats, Procs ─► Kill ─► Remove
//
// It speaks both versions of the kernel's interface and takes whichever has the memory controller:
//
//	                  version 2                        version 1
//	limit             memory.max                       memory.limit_in_bytes
//	in use, most      memory.current, memory.peak      memory.usage_in_bytes, memory.max_usage_in_bytes
//	swapped out       memory.swap.current              total_swap in memory.stat (before compression)
//	major faults      pgmajfault in memory.stat        total_pgmajfault in memory.stat
//	killed            oom_kill in memory.events        oom_kill in memory.oom_control
//	when it overflows all are killed (oom.group)       one is killed
//	kill              cgroup.kill (5.14), else signals signals until it is empty
//
// Mount points come from /proc/self/mountinfo and /proc/self/cgroup, never from habit.
//
// A group is made below our own one if that is delegated to us (systemd's Delegate=yes marks it with
// an extended attribute), so that it falls under our limits and ends with our unit; else at the root
// of the hierarchy, because version 2 allows no group to hold both processes and limited children.
//
// Every group has Prefix in its name. Nothing here kills in or removes a group without it.
package cgroup
