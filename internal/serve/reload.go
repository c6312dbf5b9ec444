package serve

import (
	"fmt"
	"strings"

	"go.uber.org/zap/zapcore"
)

// reload reads the settings anew and applies what can change while it serves. Broken ones change nothing.
func (d *Daemon) reload() (changes []string, err error) {
	if d.o.Load == nil {
		return nil, nil
	}
	want, err := d.o.Load()
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.log.Error(strings.TrimSpace(line))
		}
		d.log.Error("the configuration is broken: the old one stays in force")
		return nil, err
	}
	say := func(format string, args ...any) { changes = append(changes, fmt.Sprintf(format, args...)) }
	next := d.applyLive(want, say)
	d.noteLater(&next, want, say)
	for _, line := range changes {
		d.log.Info("configuration: " + line)
	}
	return changes, d.saved.change(func(s *saved) {
		if next.HoldRate != s.Settings.HoldRate {
			s.HoldRate = resolveHold(next.HoldRate)
		}
		s.Settings = next
	})
}

// applyLive applies what can change at once, and returns what is in force.
func (d *Daemon) applyLive(want Settings, say func(string, ...any)) Settings {
	if want.PoolBytes != d.in.PoolBytes {
		if err := d.pool.SetMaxBytes(want.PoolBytes); err != nil {
			say("pool limit: %v; more takes a stop and a start", err)
		} else {
			say("pool limit %d bytes, was %d", want.PoolBytes, d.in.PoolBytes)
			d.in.PoolBytes = want.PoolBytes
		}
	}
	if want.WipeOnFree != d.in.WipeOnFree {
		d.pool.SetWipeOnFree(want.WipeOnFree)
		say("wipe_on_free %t: for what is freed from now on", want.WipeOnFree)
		d.in.WipeOnFree = want.WipeOnFree
	}
	if want.LogLevel != d.in.LogLevel {
		if l, err := zapcore.ParseLevel(want.LogLevel); err == nil {
			d.o.Log.Level.SetLevel(l)
			say("log level %s, was %s", want.LogLevel, d.in.LogLevel)
			d.in.LogLevel = want.LogLevel
		}
	}
	return d.in
}

// noteLater sets what a successor goes by, and says what takes more than that.
func (d *Daemon) noteLater(next *Settings, want Settings, say func(string, ...any)) {
	later := func(name string, was, is any, apply func()) {
		if was != is {
			apply()
			say("%s %v, was %v: takes zswapd restart", name, is, was)
		}
	}
	later("compressor", d.in.Compressor, want.Compressor, func() { next.Compressor = want.Compressor })
	later("accept threshold", d.in.AcceptThresholdPercent, want.AcceptThresholdPercent, func() { next.AcceptThresholdPercent = want.AcceptThresholdPercent })
	later("threads", d.in.Threads, want.Threads, func() { next.Threads = want.Threads })
	later("spin", d.in.SpinMax, want.SpinMax, func() { next.SpinMax = want.SpinMax })
	later("latency hold", d.in.HoldRate, want.HoldRate, func() { next.HoldRate = want.HoldRate })
	never := func(name string, was, is any) {
		if was != is {
			say("%s %v, is %v: takes a stop and a start", name, is, was)
		}
	}
	never("swap size", d.in.SwapBytes, want.SwapBytes)
	never("priority", d.in.Priority, want.Priority)
	if want.Door != DoorAuto {
		never("door", d.in.Door, want.Door)
	}
}
