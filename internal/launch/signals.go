package launch

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const signals = 64 // the kernel's _NSIG on the machines that Go builds for

// inherited returns the signals that were ignored when we were started (nohup), as a mask with bit 0 for signal 1. Main looks,
// before anything of ours changes that.
var inherited = sync.OnceValue(func() uint64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			mask, _ := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return mask
		}
	}
	return 0
})

// Notify is signal.Notify for those of the signals that were not ignored when we were started (nohup, or a job in the background of
// a script): they go on to be.
func Notify(c chan<- os.Signal, all ...unix.Signal) {
	for _, s := range all {
		if inherited()>>(s-1)&1 == 0 {
			signal.Notify(c, s)
		}
	}
}

// NeverStop makes us immune to the terminal's stop signals from now on. Call it before the swap device exists.
func NeverStop() {
	signal.Ignore(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
}

// restoreSignals gives the calling process the signal state that we were started with. Handlers go with execve by
// themselves; what is ignored or blocked stays. From here on only execve or exit may follow.
func restoreSignals(ignored uint64) {
	for n := 1; n <= signals; n++ {
		setSignal(n, ignored>>(n-1)&1 == 1)
	}
	var none unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
}
