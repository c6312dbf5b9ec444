// Package swapbench runs the same command, or the built-in workload, in the same memory, on several swap devices:
//
//	for each round, for each system (none, zswapd, zram:lz4, file): run.Run ─► Figures ─► median and spread ─► Result
//
// The systems take turns, and each round begins with another one, so that all of them meet what else the machine does. A
// system is set up for each run and taken down after it. No other swap device may be on: pages would go there as well.
//
// The system none has no limit but the machine's own: it gets three quarters of the memory that is available.
//
// The built-in workload compares every page. A page that came back wrong ends the measurement, as does a command that fails.
// A run that the cgroup's OOM killer ended is counted and repeated, at most twice.
package swapbench
