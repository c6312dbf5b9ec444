package guest

import (
	"testing"
	"time"
)

// ublkLimit is how long a guest of a package may take in the guest.
const ublkLimit = 15 * time.Minute

// inUBLKGuest runs tests of a package, by pattern, in a guest whose kernel has ublk.
func inUBLKGuest(t *testing.T, cpus int, pkg, pattern, flags string) {
	t.Helper()
	v := vm{
		memory: 1024, cpus: cpus, limit: ublkLimit,
		files: map[string]string{pkg + ".test": testBinary(t, pkg)},
		run: `echo 30 >/proc/sys/kernel/hung_task_timeout_secs
modprobe -a fuse loop
export ZSWAPD_TEST_ROOT=required ZSWAPD_TEST_UBLK=required
(while sleep 10; do echo .; done) & # the tests have a time limit of their own, and are quiet until then
./` + pkg + `.test -test.v -test.timeout 10m -test.run '` + pattern + `' ` + flags + `
code=$?
kill %1
exit $code
`,
	}
	output, _ := v.boot(t)
	t.Log(tail(output, 3000))
}

// The server itself: verified I/O, discards, errors, kills at random and at each step of a recovery.
func TestUBLK(t *testing.T) { inUBLKGuest(t, 2, "ublk", ".", "") }

// Real swap through it: opened, kept, adopted, killed, handed over, and cleaned after.
func TestUBLKDoor(t *testing.T) {
	inUBLKGuest(t, 2, "door", "TestAdopt|TestKeep|TestKilled|TestHandOver|TestCleanAfterDeath|TestStoreIsNotSwappedOut", "-door=ublk -kills=20")
}
