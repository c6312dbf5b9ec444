package door

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/loadtest"
	"github.com/zswapd/zswapd/internal/swapdev"
)

var (
	killsFlag     = flag.Int("kills", 20, "servers that TestKilled kills")
	handOversFlag = flag.Int("handovers", 10, "servers that TestHandOver replaces")
)

// TestKilled kills the server behind a swap device that is in use, again and again: mostly 50 to 100 ms after it has begun
// to serve, now and then while it is still recovering the store or adopting the connection. The next one goes on, and no
// program sees anything of it but the time: no page is wrong, no I/O fails.
func TestKilled(t *testing.T) { killed(t) }

// TestKilledWithBacking: the same with most pages in a file on a disk, which the next server is given as well.
func TestKilledWithBacking(t *testing.T) {
	t.Setenv(backingEnv, t.TempDir())
	if all := killed(t); all.written == 0 || all.fromFile == 0 {
		t.Errorf("%d pages were in the file, %d were read from it: the test did not test", all.written, all.fromFile)
	} else {
		t.Logf("%d pages were in the file, %d objects were read from it", all.written, all.fromFile)
	}
}

func killed(t *testing.T) (all tally) {
	k, r := newKeeper(t), newRand(t)
	log, l := loadtest.WatchKernelLog(t, deviceIn(k.record)), startLoad(k)
	for range *killsFlag {
		until, rest := serving, 50*time.Millisecond+time.Duration(r.Int64N(int64(50*time.Millisecond)))
		if r.IntN(4) == 0 {
			until, rest = opening, time.Duration(r.Int64N(int64(all.adoption()*3/2)))
		}
		l.goesOn(t)
		noErr(t, k.reach(until))
		time.Sleep(rest)
		at := monotonic()
		s, err := k.kill()
		noErr(t, err)
		all.add(t, s, at)
		noErr(t, k.start())
	}
	// One more goes of its own accord, in the middle of it all, and checks the pool with what is in it.
	all.handOver(t, k, first)
	all.finish(t, k, l, log)
	if *killsFlag >= 100 && kind() == FUSE && all.came == 0 {
		t.Error("no server was killed with a request under way: nothing was sent again")
	}
	return all
}

// TestHandOver replaces a server that leaves by itself, again and again. Nothing it had read is left to be sent again.
func TestHandOver(t *testing.T) {
	k, r := newKeeper(t), newRand(t)
	log, l := loadtest.WatchKernelLog(t, deviceIn(k.record)), startLoad(k)
	var all tally
	for range *handOversFlag {
		l.goesOn(t)
		noErr(t, k.reach(serving))
		time.Sleep(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
		all.handOver(t, k, serving)
	}
	t.Log("the times below have a check of the pool in them")
	all.finish(t, k, l, log)
	if all.resent > 0 {
		t.Errorf("%d requests came again", all.resent)
	}
}

// TestKilledWhileOpening: a server dies when its handles are kept and swap is not on yet. While they are kept nobody cleans
// after it; the next one finds nothing to adopt; given up, all is cleaned.
func TestKilledWhileOpening(t *testing.T) {
	k := prepareKeeper(t)
	noErr(t, k.start())
	noErr(t, k.reach(kept))
	_, err := k.kill()
	noErr(t, err)
	if report, err := swapdev.Clean(t.Context(), k.state, swapdev.CleanOptions{}); len(report) > 0 || err != nil {
		t.Errorf("cleaned while it is kept: %q, %v", report, err)
	}
	if left, err := os.ReadDir(k.state); err != nil || len(left) != 2 {
		t.Errorf("the record is gone: %v, %v", left, err)
	}
	noErr(t, k.start())
	s, state, err := k.end()
	noErr(t, err)
	if state.ExitCode() != 1 || s.last.Stage != recovered || s.last.Pages != 1 {
		t.Errorf("the next one: %v, %+v", state, s.last)
	}
	k.giveUp()
	_, err = swapdev.Clean(t.Context(), k.state, swapdev.CleanOptions{})
	noErr(t, err)
}

// TestCleanAfterDeath: server and keeper are dead, with pages swapped out. The next start takes the device away.
func TestCleanAfterDeath(t *testing.T) {
	k := newKeeper(t)
	const size = 8 << 20
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	noErr(t, err)
	defer unix.Munmap(mem) // nobody touches it: it is lost
	noErr(t, unix.Munlock(mem))
	for i := range mem {
		mem[i] = byte(i>>12 ^ i)
	}
	noErr(t, unix.Madvise(mem, unix.MADV_PAGEOUT))
	if used, err := swapdev.Block(deviceIn(k.record)).Used(); err != nil || used < size/8 {
		t.Errorf("swapped out: %d, %v", used, err)
	}
	_, err = k.kill()
	noErr(t, err)
	k.giveUp()
	report, err := swapdev.Clean(t.Context(), k.state, swapdev.CleanOptions{})
	noErr(t, err)
	want := []string{"swapoff " + deviceIn(k.record), "detached"}
	if kind() == UBLK {
		want[1] = "removed " + k.record.UBLK
	}
	for i, w := range want {
		if len(report) != 2 || !strings.Contains(report[i], w) {
			t.Errorf("%q, want %q in line %d", report, w, i)
		}
	}
	nothingLeft(t, k.record)
}
