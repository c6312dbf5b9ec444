package serve

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/zpool"
)

// This file is what control asks, from any goroutine: nothing here waits for the loop or for slow work.

// Info says what the daemon is.
func (d *Daemon) Info() control.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := control.Info{
		Version: d.o.Version, PID: os.Getpid(), Keeper: d.o.Keeper, State: d.State(), Started: began, Since: d.told.Since, Restarts: d.told.Restarts,
		Door: control.Door{
			Kind: d.told.Door, Why: d.why, Device: d.told.Device,
			SizeBytes: int64(d.pool.Slots() * zpool.PageSize), Priority: d.told.Priority,
		},
		Compressor: d.pool.Compressor(), RAMBytes: d.config.RAM(), CPUs: runtime.NumCPU(), Problems: slices.Clone(d.problems),
		Warnings: slices.Clone(d.warnings),
	}
	if i.State == StateDrained {
		i.Door.Device = ""
	}
	i.Warnings = append(i.Warnings, d.notInForce()...)
	if n, err := d.pool.BackingErr(); n > 0 {
		i.Warnings = append(i.Warnings, refused(n, err))
	}
	return i
}

// notInForce says what of the configuration is not in force, and what it takes. d.mu is held.
func (d *Daemon) notInForce() (lines []string) {
	if d.broken != "" {
		lines = append(lines, "the configuration is broken, so an older one is in force: "+d.broken)
	}
	for _, s := range d.config.Settings() {
		inForce, ok := d.pending[s.Key]
		switch {
		case ok && s.Change == config.Live: // the log has why
			lines = append(lines, fmt.Sprintf("%s is %s, and %s in the configuration, which could not be had: zswapd reload tries again", s.Key, inForce, s.Value))
		case ok:
			lines = append(lines, fmt.Sprintf("%s is %s, and %s in the configuration: that takes a %s", s.Key, inForce, s.Value, s.Change))
		}
	}
	return lines
}

// Stats returns all numbers.
func (d *Daemon) Stats() control.Stats {
	p, f := d.pool.Stats(), d.door.Stats()
	s := control.Stats{
		StoredPages: p.StoredPages, SameFilledPages: p.SameFilledPages, IncompressiblePages: p.IncompressiblePages,
		CompressedBytes: p.CompressedBytes, MemoryBytes: p.MemoryBytes, PeakMemoryBytes: p.PeakMemoryBytes, LimitBytes: p.LimitBytes,
		Full: d.pool.Full(),

		Stores: p.Stores, Loads: p.Loads, Invalidated: p.Invalidated, PoolLimitHit: p.PoolLimitHit,
		Rejected: map[string]uint64{"full": p.RejectedFull, "alloc_fail": p.RejectedAllocFail},
		Corrupt:  p.Corrupt,
		IOErrors: f.Errors(),

		PagesCompacted: p.PagesCompacted, ObjectsMigrated: p.ObjectsMigrated, Resent: f.Resent,
		Store: p.StoreTime, Load: p.LoadTime, Fault: f.Load, CompactionPause: p.CompactionPause,
		OwnBytes: ownBytes(),
	}
	d.tiers(&s, &p)
	if used, err := d.door.Used(); err == nil && d.State() != StateDrained { // then the device's name may be another one's
		s.SwapBytes = int64(used)
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		s.UserCPU, s.SystemCPU = time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
	}
	return s
}

// ownBytes returns what is resident beside shared memory.
func ownBytes() (n int64) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssFile:") {
			kib, _ := strconv.ParseInt(f[1], 10, 53)
			n += kib << 10
		}
	}
	return n
}

// Settings returns what is in force.
func (d *Daemon) Settings() (list []control.Setting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.config.Settings() {
		one := control.Setting{Key: s.Key, Value: s.Value, Origin: s.From.String(), Live: live[s.Key] != nil, Needs: s.Change.String()}
		if inForce, ok := d.pending[s.Key]; ok {
			one.Value, one.Origin = inForce, fmt.Sprintf("as before; %s says %s", s.From, s.Value)
		}
		list = append(list, one)
	}
	return list
}

// Events returns the last events, the oldest first.
func (d *Daemon) Events() (list []control.Event) {
	for _, e := range d.o.Log.Recent.Events() {
		level := control.LevelInfo
		switch {
		case e.Level >= zapcore.ErrorLevel:
			level = control.LevelError
		case e.Level == zapcore.WarnLevel:
			level = control.LevelWarn
		}
		list = append(list, control.Event{Time: e.Time, Level: level, Message: e.Message})
	}
	return list
}

// problem notes what is not as it should be, for people. It may be called from any goroutine.
func (d *Daemon) problem(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.problems, text) {
		d.problems = append(d.problems, text)
	}
}

// setConfig makes a configuration the one that is shown.
func (d *Daemon) setConfig(c *config.Config, pending map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config, d.pending = c, pending
}
