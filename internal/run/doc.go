// Package run is the laboratory: it runs one command in less memory than it needs, with its pages swapped into a pool,
// and reports what that came to.
//
//	options ─► pool ─► door (swap on) ─► memory cgroup ─► command ─► watch ─► kill what is left ─► swap off ─► report
//
// Whatever happens, what was set up is taken down in reverse order: the command's processes, the cgroup, the swap
// device, the mount. What a killed run leaves behind is written down first (swapdev.Run), and the next one cleans it.
//
// Options.Device puts a zram device or a swap file in the place of the pool and its door, to compare with: package swapbench.
//
// Without root there is no kernel swap: then the built-in workload runs against the pool in this process.
package run
