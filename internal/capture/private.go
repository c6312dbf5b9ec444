package capture

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Private keeps what this process reads of others to itself: nothing of it is swapped out, nothing is in a core file. It
// says what it could not do.
func Private() error {
	dump := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if dump != nil {
		dump = fmt.Errorf("a core file of zswapd would hold pages of other programs: %w", dump)
	}
	lock := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	if lock != nil {
		lock = fmt.Errorf("pages of other programs may be swapped out from zswapd: mlockall: %w", lock)
	}
	return errors.Join(dump, lock)
}
