// Package launch starts a command inside a cgroup, free of the daemon's own protections, and tells
// exactly what became of it.
//
//	Start ─► shim (this program, hidden first argument) ─► execve ─► the command
//
// The shim joins the cgroup, undoes what is inherited (guard.Undo), restores signals, asks to die with
// us, and executes the command. It reports a failure through a pipe that closes by itself on success,
// so Start returns only when the command runs, or says why it cannot, with a shell's exit codes.
// Call Main first in main(): without it there is no shim.
//
// # The terminal
//
// The command stays in our process group and session. So it may read the terminal, Ctrl-C and Ctrl-\
// reach it directly, and a shell as the command can do job control of its own. On our side:
//
//   - NeverStop: Ctrl-Z must not stop us. A stopped server of a swap device stops everybody who
//     touches a page. The command that is stopped by it is continued by Wait at once.
//   - Process.Relay: we outlive Ctrl-C, to clean up after the command; a signal that was sent to us
//     alone is passed on.
//
// # When we are killed
//
// The command asked the kernel for SIGKILL when its parent dies. The kernel takes "parent" to be the
// thread that forked, and Go ends threads: so one thread does all the forking here, and stays until the process
// ends. The request does not cover the command's own children, nor a command that changes its
// privileges when it is executed (sudo): those are left in the cgroup, for the next start to clean.
package launch
