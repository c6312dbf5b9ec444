package run

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/zpool"
)

const (
	sampleEvery = 100 * time.Millisecond // how often the peak of what is swapped out is looked for
	showEvery   = 5                      // samples from one live line to the next
	lookEvery   = 10                     // from one look whether swapping is futile to the next: a second
)

// monitor watches a run: it finds the peak of what is swapped out, and keeps the live line.
type monitor struct {
	pool   *zpool.Pool
	device device       // nil without kernel swap
	memory func() int64 // of the device; nil without
	live   *LiveLine
	note   func(format string, args ...any)
	peak   peak
	full   bool    // the user was told that the pool is full
	futile *futile // nil: not looked for

	stop, done chan struct{}
}

// peak is the most that was swapped out, and what the device took then and at most, all in bytes.
type peak struct{ used, memoryThen, memory int64 }

func startMonitor(p *zpool.Pool, d device, memory func() int64, g *cgroup.Group, o *Options) *monitor {
	m := &monitor{pool: p, device: d, memory: memory, live: o.Live, note: o.note, stop: make(chan struct{}), done: make(chan struct{})}
	if p != nil && g != nil {
		m.futile = &futile{pool: p, group: g}
	}
	go m.run()
	return m
}

// close takes a last sample and ends the line. It returns the most that there was.
func (m *monitor) close() peak {
	close(m.stop)
	<-m.done
	m.live.Clear()
	return m.peak
}

func (m *monitor) run() {
	defer close(m.done)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	shown := m.sample()
	for n := 1; ; n++ {
		select {
		case <-m.stop:
			m.sample()
			return
		case <-tick.C:
		}
		if s := m.sample(); n%showEvery == 0 && m.live != nil {
			m.live.Show(s.line(&shown))
			shown = s
		}
		if m.futile != nil && n%lookEvery == 0 {
			m.lookForFutile()
		}
	}
}

func (m *monitor) lookForFutile() {
	ended, err := m.futile.look()
	if ended || err != nil {
		m.live.Clear()
	}
	if ended {
		m.note("the pool has been full for %d seconds, and next to nothing went in: the command is not swapped out any more until there is "+
			"room, so that the kernel ends what does not fit", futileSeconds)
	}
	if err != nil {
		m.note("the pool is full, and that cannot be mended: %v", err)
		m.futile = nil
	}
}

func (m *monitor) sample() sample {
	s := sample{at: time.Now()}
	if m.device != nil {
		if used, err := m.device.Used(); err == nil {
			s.used = int64(used)
		}
		m.peak.take(s.used, m.memory())
	}
	if m.pool != nil && !m.full && m.pool.Full() && m.pool.Backing() == nil {
		m.full = true
		m.live.Clear()
		m.note("the pool is full: the kernel keeps what does not fit, and may have to kill the command. Raise --pool-limit or --memory")
	}
	if m.live == nil {
		return s
	}
	if m.device != nil {
		s.waiting, s.waited = readWaits(m.device.Device())
		s.reads = s.waiting
	}
	if m.pool != nil {
		s.pool = m.pool.Stats()
		s.reads = s.pool.Loads
		if m.device == nil {
			s.used = s.pool.StoredPages * zpool.PageSize
		}
	}
	return s
}

func (p *peak) take(used, memory int64) {
	if used > p.used {
		p.used, p.memoryThen = used, memory
	}
	p.memory = max(p.memory, memory)
}

// readWaits returns how many reads a block device has served, and how long they took altogether, from the kernel's books
// (fields 1 and 4 of /sys/block/NAME/stat). The time has the resolution of a millisecond in all.
func readWaits(device string) (n uint64, all time.Duration) {
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "stat"))
	fields := strings.Fields(string(b))
	if err != nil || len(fields) < 4 {
		return 0, 0
	}
	n, err1 := strconv.ParseUint(fields[0], 10, 64)
	ms, err2 := strconv.ParseUint(fields[3], 10, 63)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return n, time.Duration(ms) * time.Millisecond
}
