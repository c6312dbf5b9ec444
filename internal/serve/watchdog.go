package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/sdnotify"
)

// Fields of /sys/block/NAME/stat.
const (
	statReads    = 0 // requests that were completed
	statWrites   = 4
	statInFlight = 8
	statDiscards = 11
	statFields   = 12
)

// progress tells whether whoever serves a device comes along, from the kernel's books.
type progress struct {
	seen  bool
	ended uint64 // requests, at the last look
}

// look takes the text of a stat file, and reports whether all is well: nothing waits, or something was done since the last
// look. A device that is gone is served well.
func (p *progress) look(stat string) bool {
	f := strings.Fields(stat)
	if len(f) < statFields {
		*p = progress{}
		return true
	}
	var ended uint64
	for _, i := range []int{statReads, statWrites, statDiscards} {
		n, _ := strconv.ParseUint(f[i], 10, 64)
		ended += n
	}
	stuck := p.seen && f[statInFlight] != "0" && ended == p.ended
	*p = progress{seen: true, ended: ended}
	return !stuck
}

// watchdog tells the manager that we come along, several times in the time that it gives us, as long as requests do.
func (d *Daemon) watchdog(limit time.Duration) {
	path := filepath.Join("/sys/block", filepath.Base(d.door.Device()), "stat")
	var p progress
	for {
		stat, _ := os.ReadFile(path)
		if p.look(string(stat)) {
			d.notify(sdnotify.Pet)
		} else {
			d.log.Error("requests wait, and none was served since the last look")
		}
		time.Sleep(limit / 4)
	}
}

// watchKeeper says so when the keeper is gone.
func (d *Daemon) watchKeeper() {
	waitForEnd(d.o.Keeper)
	text := fmt.Sprintf("the keeper, process %d, is gone: this daemon serves on, but nobody replaces it. If it ends now, "+
		"what is swapped out is lost. Stop it in a quiet moment (zswapd stop, or kill -TERM %d), and start anew", d.o.Keeper, os.Getpid())
	d.log.Error(text)
	d.problem(text)
}
