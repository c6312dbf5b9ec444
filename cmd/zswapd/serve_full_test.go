package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/loadtest"
)

// TestServeFull fills the pool with pages that do not compress. What it refuses the kernel keeps; the daemon warns in time, serves
// on, also after a kill, and takes pages again when there is room.
func TestServeFull(t *testing.T) {
	state := newState(t)
	s := startService(t, binary, state, "--keeper", "--set", "pool.max_pool_size=48MiB", "--set", "recompress.codec=none")
	log := loadtest.WatchKernelLog(t, s.device)
	s.wait("to answer", func() bool { return healthy(s) })
	big := loadtest.Shape{Limit: 512 << 20, Bytes: 120 << 20, Pages: "random"}
	l := big.Start(t, newState(t), binary, workloadName)
	s.wait("to be filled", func() bool { l.GoesOn(t); return l.Resident(t) > big.Bytes })
	l.Freeze(t)
	s.wait("to be full", func() bool {
		l.Squeeze(t, 32<<20)
		st := s.stats()
		return st.Rejected["full"] > 0 && st.Full
	})
	s.wait("to say so", func() bool { return s.says("the pool has used 95 % of its limit") }) // it needs no further page for that
	st := s.stats()
	if l.Resident(t) < big.Bytes-56<<20 || st.MemoryBytes > st.LimitBytes || st.IncompressiblePages < 4000 || st.Corrupt+st.IOErrors > 0 {
		t.Errorf("%d bytes of the workload are resident; the pool: %+v", l.Resident(t), st)
	}
	o := call(t, "status", "--socket", socketOf(state))
	mustContain(t, o.out, "of at most 48 MiB; FULL;", "kept by the kernel: the pool is at its limit", "serving; ")
	if strings.Contains(o.out, "PROBLEM") || strings.Contains(o.out, "ERRORS") {
		t.Errorf("a full pool is no problem of the daemon's:\n%s", o.out)
	}
	if !healthy(s) {
		t.Error("it says that it is not healthy")
	}
	mustContain(t, s.log.String(), "the pool has used 80 % of its limit", "the pool has used 95 % of its limit")
	lines := strings.Count(s.log.String(), "\n")
	for range 20 { // it is asked again and again, and says no more about it
		l.Squeeze(t, 32<<20)
	}
	if more := strings.Count(s.log.String(), "\n") - lines; more > 2 {
		t.Errorf("%d lines more:\n%s", more, s.log)
	}
	was := s.serving()
	noErr(t, kill(was, syscall.SIGKILL))
	s.replaced(was)
	s.wait("to answer", func() bool { return healthy(s) })
	l.Squeeze(t, 32<<20)
	thaw(t, l)
	for _, line := range log.Complaints() { // a page that it would not take is told; one that does not come back must not be
		if strings.Contains(strings.ToLower(line), "read") {
			t.Errorf("the kernel says %q", line)
		}
	}

	s.wait("to have room", func() bool { st = s.stats(); return !st.Full })
	before := st.Stores
	again := loadtest.Start(t, newState(t), binary, workloadName)
	s.wait("to take pages again", func() bool { again.GoesOn(t); return s.stats().Stores > before+4000 })
	noErr(t, again.Finish())
	s.stop()
	t.Logf("%d pages refused at first; %d pages compared", st.Rejected["full"], l.Verified+again.Verified)
}

// healthy reports whether the daemon answers that it is.
func healthy(s *service) bool {
	c := control.NewClient(socketOf(s.state))
	defer c.Close()
	h, err := c.Health(s.t.Context())
	return err == nil && h.OK
}
