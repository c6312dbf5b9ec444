package serve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/zswapd/zswapd/internal/config"
)

// live are the settings that can change while we serve, and how: those that config says so of. The others take a successor, or a stop.
var live = map[string]func(d *Daemon, c *config.Config) error{
	"swap.behind_zswap":             func(*Daemon, *config.Config) error { return nil }, // it is for zswapd doctor
	"pool.max_pool_percent":         (*Daemon).setPool,
	"pool.max_pool_size":            (*Daemon).setPool,
	"pool.allow_over_half":          func(*Daemon, *config.Config) error { return nil }, // it only bounds the two above
	"pool.accept_threshold_percent": (*Daemon).setPool,
	"recompress.codec":              (*Daemon).setPool,
	"recompress.idle_after":         (*Daemon).setPool,
	"recompress.cluster_size":       (*Daemon).setPool,
	"writeback.file":                (*Daemon).setBacking,
	"writeback.idle_after":          (*Daemon).setPool,
	"writeback.limit_per_day":       (*Daemon).setBackingLimits,
	"compact.min_waste_percent":     (*Daemon).setPool,
	"pool.wipe_on_free":             func(d *Daemon, c *config.Config) error { d.pool.SetWipeOnFree(c.Pool.WipeOnFree); return nil },
	"log.level":                     (*Daemon).setLogLevel,
}

func (d *Daemon) setLogLevel(c *config.Config) error {
	l, err := zapcore.ParseLevel(c.Log.Level)
	if err == nil {
		d.o.Log.Level.SetLevel(l)
	}
	return err
}

// change is a setting that has changed.
type change struct {
	config.Change
	applied bool
	problem error // why it could not be applied, although it can be while we serve
}

func (c change) String() string {
	if c.applied {
		return fmt.Sprintf("%s: %s, was %s", c.Key, c.New, c.Old)
	}
	if c.problem != nil {
		return fmt.Sprintf("%s: %s, stays %s: %v", c.Key, c.New, c.Old, c.problem)
	}
	return fmt.Sprintf("%s: %s, is %s until a %s", c.Key, c.New, c.Old, c.Need)
}

// reload reads the configuration anew. One that is broken changes nothing.
func (d *Daemon) reload() ([]change, error) {
	c, err := d.o.Load()
	d.setBroken(err)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.log.Error(strings.TrimSpace(line))
		}
		d.log.Error("the configuration is broken: the old one stays in force")
		return nil, fmt.Errorf("the configuration is broken, so the old one stays in force: %w", err)
	}
	return d.apply(c, d.diff(c)), nil
}

// setBroken notes what is wrong with the configuration, for people: its first mistake.
func (d *Daemon) setBroken(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken = ""; err != nil {
		first, rest, more := strings.Cut(err.Error(), "\n")
		if d.broken = first; more {
			d.broken += fmt.Sprintf(" (and %d more)", strings.Count(rest, "\n")+1)
		}
	}
}

// apply applies what can change at once, of what a configuration changes. Of the rest it says what it takes.
func (d *Daemon) apply(c *config.Config, diffs []config.Change) (changes []change) {
	pending := maps.Clone(d.pending)
	for _, diff := range diffs {
		one := change{Change: diff}
		if inForce, ok := pending[one.Key]; ok {
			if one.Old = inForce; one.New == inForce { // back to what it is
				delete(pending, one.Key)
				continue
			}
		}
		if set := live[one.Key]; set != nil {
			if err := set(d, c); err != nil {
				one.problem, one.Need = err, config.Stop
			} else {
				one.applied = true
			}
		}
		if one.applied {
			delete(pending, one.Key)
		} else {
			pending[one.Key] = one.Old
		}
		changes = append(changes, one)
		if one.problem != nil {
			d.log.Error("configuration: " + one.String())
		} else {
			d.log.Info("configuration: " + one.String())
		}
	}
	d.settle(c, pending)
	return changes
}

// diff returns what another configuration changes, and what could be changed while we serve, but was not, as there was a problem: a
// folder that was missing may be there by now.
func (d *Daemon) diff(c *config.Config) []config.Change {
	list := config.Diff(d.config, c)
	for _, s := range c.Settings() {
		known := slices.ContainsFunc(list, func(one config.Change) bool { return one.Key == s.Key })
		if inForce, ok := d.pending[s.Key]; ok && live[s.Key] != nil && !known {
			list = append(list, config.Change{Key: s.Key, Old: inForce, New: s.Value, Need: config.Live})
		}
	}
	return list
}

// settle makes a configuration the one that is shown, and that a successor goes by.
func (d *Daemon) settle(c *config.Config, pending map[string]string) {
	d.setConfig(c, pending)
	err := d.saved.change(func(s *saved) {
		if rate := c.Serve.LatencyHold; d.pending["serve.latency_hold"] != "" {
			s.HoldRate = resolveHold(rate)
		}
		s.goBy(c)
	})
	if err != nil {
		d.log.Error(err.Error())
	}
}
