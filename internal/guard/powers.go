package guard

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// powers are the capabilities that a service needs to begin: mounts, loop devices, swapon (SYS_ADMIN); the steps of Protect
// (SYS_RESOURCE, IPC_LOCK); Provider (SYS_NICE); the group of its socket (CHOWN).
var powers = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE, unix.CAP_IPC_LOCK, unix.CAP_SYS_NICE, unix.CAP_CHOWN}

// LimitPowers is for a process that is about to execute the service: whatever that does, and executes, has no more
// capabilities than a service needs. It is of the calling thread, which must be the one that executes.
func LimitPowers() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(powers, c) {
			continue
		}
		if has, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); has == 0 {
			continue // a unit of systemd has dropped it, and that by which we would
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // EINVAL: an older kernel's last
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return os.NewSyscallError("no new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// DropPowers keeps, of all threads, those capabilities that a service needs once it serves: to turn swap off, and for the
// helper that does it, which it starts. If the limit of locked memory is finite, the one by which more is locked, too: memory
// that cannot be locked would not be had at all.
func DropPowers() error {
	keep := []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r); err != nil || r.Cur != unix.RLIM_INFINITY {
		keep = append(keep, unix.CAP_IPC_LOCK)
	}
	return onlyPowers(keep)
}

// ErrCgo: this program was built with cgo, whose threads Go does not reach.
var ErrCgo = errors.New("capabilities cannot be dropped: the program was built with cgo; CGO_ENABLED=0 go build does without")

// Hide keeps other processes of our own user, who have no power to look into all, from looking into this one: into its memory,
// and through its descriptors into the store. No core is dumped either. It does not survive execve.
func Hide() error {
	return os.NewSyscallError("hide from others", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}
