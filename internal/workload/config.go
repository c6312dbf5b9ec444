package workload

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
)

const pageSize = pagegen.PageSize

const (
	maxPages   = 1 << 30 // 4 TiB
	maxThreads = 1024
	maxTouches = 1 << 50
)

// Config is what to run. Start from Default or RandomTouches.
type Config struct {
	Bytes    int64         `json:"bytes"`    // of the region, rounded down to pages
	Touches  int64         `json:"touches"`  // in all; 0: as many as fit in Duration
	Duration time.Duration `json:"duration"` // of the touch phase, in nanoseconds; 0: until Touches are done
	Threads  int           `json:"threads"`  // each with a part of the region of its own
	Seed     uint64        `json:"seed"`     // of the pages and of the order of touches
	Write    int           `json:"write_percent"`
	Mode     string        `json:"mode"`  // order of the touches: Random and the others
	Pages    string        `json:"pages"` // what pages hold, for pagegen.ParseMix
	Touch    string        `json:"touch"` // what a touch does: Page or Byte
	Resident int64         `json:"resident_bytes,omitempty"`
	Child    []string      `json:"child"` // of Fork: a command that calls Serve

	// Progress is called about once a second, and at the end of each phase, by one goroutine at a time.
	Progress func(Progress) `json:"-"`
}

// What a touch does, after the timed load of 8 bytes.
const (
	// Page compares the page and, if it is a write, makes all of it anew.
	Page = "page"
	// Byte does no more than write one byte, if it is a write. Pages are compared in the verify phase only, so that
	// the touch phase measures the swap device and little else.
	Byte = "byte"
)

// Default returns a run of 256 MiB and a million touches that compares every page it touches.
func Default() Config {
	return Config{Bytes: 256 << 20, Touches: 1_000_000, Threads: 1, Write: 30, Mode: Random, Pages: "typical", Touch: Page, Seed: 1}
}

// RandomTouches returns the measure by which swap devices are compared: 512 MiB touched at random for so long, by one
// thread, in a memory cgroup of 256 MiB, with vm.page-cluster 0. The cgroup and the setting are the caller's to make.
func RandomTouches(d time.Duration) Config {
	c := Default()
	c.Bytes, c.Touches, c.Duration, c.Touch = 512<<20, 0, d, Byte
	return c
}

// Validate returns all problems at once, each with the value seen.
func (c *Config) Validate() (err error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			err = errors.Join(err, fmt.Errorf("workload: "+format, args...))
		}
	}
	threads := c.Threads >= 1 && c.Threads <= maxThreads
	check(threads, "%d threads: want 1 to %d", c.Threads, maxThreads)
	pages := c.Bytes / pageSize
	check(c.Bytes >= 0 && pages <= maxPages, "%d bytes: want at most %d", c.Bytes, int64(maxPages)*pageSize)
	check(!threads || pages >= int64(c.Threads), "%d bytes: want a page for each of %d threads", c.Bytes, c.Threads)
	check(c.Touches >= 0 && c.Touches <= maxTouches && c.Duration >= 0, "%d touches, %v: want 0 to %d, and no negative duration", c.Touches, c.Duration, int64(maxTouches))
	check(c.Touches > 0 || c.Duration > 0, "neither a number of touches nor a duration")
	check(c.Write >= 0 && c.Write <= 100, "%d percent of writes", c.Write)
	check(isMode(c.Mode), "mode %q: want %s", c.Mode, strings.Join(modes, ", "))
	check(c.Mode != Fork || len(c.Child) > 0, "mode %s: no command for the children", Fork)
	check(c.Mode != Fork || !threads || pages/forks >= int64(c.Threads), "%d bytes: want a page for each of %d threads of %d children", c.Bytes, c.Threads, forks)
	check(c.Mode != Cold || !threads || pages/int64(c.Threads) >= 10*coldRun, "%d bytes: want %d pages for each of %d threads", c.Bytes, 10*coldRun, c.Threads)
	check(c.Touch == Page || c.Touch == Byte, "touch %q: want %s or %s", c.Touch, Page, Byte)
	check(!threads || c.Resident == 0 || c.Resident/pageSize >= int64(c.Threads),
		"%d resident bytes: want a page for each of %d threads", c.Resident, c.Threads)
	if _, mix := pagegen.ParseMix(c.Pages); mix != nil {
		err = errors.Join(err, fmt.Errorf("workload: %w", mix))
	}
	return err
}
