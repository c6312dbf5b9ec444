package door

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/loadtest"
)

// tally sums up what became of servers.
type tally struct {
	killed       map[stage]int // by how far they had come
	came, resent uint64        // servers to which requests came again; requests
	most         event         // with the most pages
	migrated     uint64        // objects
	written      int64         // pages found in the backing file, by all
	fromFile     uint64        // objects read from there
	before       time.Duration // when the end of the last one was decided; 0: there was none

	recover, adopt, begin, outage []time.Duration
}

// adoption returns how long recovery and adoption of a store take, from what was seen.
func (a *tally) adoption() time.Duration {
	return cmp.Or(median(a.recover)+median(a.adopt), 10*time.Millisecond)
}

// add counts a server that is dead; at is when its end was decided.
func (a *tally) add(t *testing.T, s *server, at time.Duration) {
	t.Helper()
	e := s.last
	_, served := s.at[serving]
	if loose := served && !e.Locked && slices.Contains(e.Protections, guard.MemoryLock); loose || e.Lost > 0 || e.Errors > 0 {
		t.Errorf("a server: %+v", e)
	}
	if e.Stage != released && e.Stage != closed {
		if a.killed == nil {
			a.killed = map[stage]int{}
		}
		a.killed[e.Stage]++
	}
	if e.Resent > 0 {
		a.came++
		a.resent += e.Resent
	}
	if e.Stored > a.most.Stored {
		a.most = e
	}
	a.migrated += e.Migrated
	a.written += e.Written
	a.fromFile += e.FromFile
	span := func(list *[]time.Duration, from time.Duration, to stage) {
		if at, ok := s.at[to]; ok && from > 0 {
			*list = append(*list, at-from)
		}
	}
	span(&a.begin, a.before, opening)
	span(&a.recover, s.at[opening], recovered)
	span(&a.adopt, s.at[recovered], serving)
	span(&a.outage, a.before, first)
	a.before = at
}

// handOver makes the server leave once it is at the stage, and starts the next one.
func (a *tally) handOver(t *testing.T, k *keeper, when stage) {
	t.Helper()
	noErr(t, k.reach(when))
	at := monotonic()
	s, err := k.obeyed(releaseNow, released)
	noErr(t, err)
	a.add(t, s, at)
	noErr(t, k.start())
}

// finish lets the workload end, closes the door, and tells what there was to see.
func (a *tally) finish(t *testing.T, k *keeper, l *load, log *loadtest.KernelLog) {
	t.Helper()
	noErr(t, l.finish())
	s, err := k.close()
	noErr(t, err)
	a.add(t, s, 0)
	for _, line := range log.Complaints() {
		t.Errorf("the kernel says: %s", line)
	}
	t.Logf("%d rounds of the workload, %d pages compared, none wrong; slowest touch %v; %d stray kills by the OOM killer", l.rounds, l.verified, l.slowest, l.strayKills)
	a.log(t)
}

func (a *tally) log(t *testing.T) {
	t.Helper()
	if n := sum(a.killed); n > 0 {
		t.Logf("%d killed: %d serving requests, %d before the first request, %d adopting, %d recovering, %d before that",
			n, a.killed[first], a.killed[serving], a.killed[recovered], a.killed[opening], a.killed[""])
		t.Logf("%d servers were sent %d requests again", a.came, a.resent)
	}
	t.Logf("at most %d pages, %.3f GiB, in %.1f MiB; %d objects moved by compaction; protections %v, buffers locked %v",
		a.most.Stored, float64(a.most.Stored)*4096/(1<<30), float64(a.most.Memory)/(1<<20), a.migrated, a.most.Protections, a.most.Locked)
	t.Logf("from the end of a server to the first request that the next one served: %s", spread(a.outage))
	t.Logf("  of it: until the next one's program runs %s; recovery of the store %s; buffers, connection and device %s",
		spread(a.begin), spread(a.recover), spread(a.adopt))
}

func sum(m map[stage]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "unknown"
	}
	return fmt.Sprintf("median %v, longest %v", median(list).Round(10*time.Microsecond), slices.Max(list).Round(10*time.Microsecond))
}
