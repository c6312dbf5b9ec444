// Package swaptest keeps tests of different packages, which go test runs at once, from swapping at the same time: the
// kernel shares all swap devices among all programs, so one test's pages would be on another's device. So it does the numbers of
// devices, and settings, which some tests change.
//
//	func TestMain(m *testing.M) { defer swaptest.Lock()(); m.Run() }
package swaptest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock waits until no other process holds it, and returns what gives it back. Without root nobody swaps, and it does
// nothing; nor where OnlyFuzzes. The kernel drops the lock of a process that dies.
func Lock() (unlock func()) {
	if os.Geteuid() != 0 || OnlyFuzzes() {
		return func() {}
	}
	f, err := os.OpenFile("/run/zswapd-swaptest.lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600) // one, whatever TMPDIR is
	if err == nil {
		err = flock(f)
	}
	if err != nil {
		panic(fmt.Sprintf("swaptest: lock: %v", err))
	}
	return func() { _ = f.Close() }
}

// OnlyFuzzes reports whether this process runs no test, as go test -run '^$' -fuzz does and its workers do: then it does not swap, and
// must leave alone what others do meanwhile.
func OnlyFuzzes() bool {
	fuzzes := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzz=") })
	return slices.Contains(os.Args, "-test.fuzzworker") || fuzzes && slices.Contains(os.Args, "-test.run=^$")
}

// Alone waits a while until the kernel swaps to no device, and returns an error if it still does: for tests of what wants
// no other swap device on.
func Alone() error {
	for end := time.Now().Add(aloneLimit); ; time.Sleep(100 * time.Millisecond) {
		text, err := os.ReadFile("/proc/swaps")
		if err != nil || strings.Count(string(text), "\n") <= 1 { // the header line
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("other swap is on:\n%s", text)
		}
	}
}

const aloneLimit = time.Minute

func flock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
