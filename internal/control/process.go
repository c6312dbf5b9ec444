package control

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process fills in what this process takes. What cannot be read stays as it is.
func (s *Stats) Process() {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
		s.UserCPU, s.SystemCPU = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	var own int64
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssFile:") { // RssShmem is the store
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			own += kib << 10
		}
	}
	s.OwnBytes = own
}
