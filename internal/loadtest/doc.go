// Package loadtest is verified swap load for tests of programs that serve swap: rounds of the built-in workload in a memory
// cgroup, each page compared each time, and the kernel's log watched beside it.
package loadtest
