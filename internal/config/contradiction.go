package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// contradictions are values that are right alone and wrong together. Those that involve a bad key are left out: whatever is said
// of it now would be about its default.
func (c *Config) contradictions(bad map[string]bool, strict bool) (problems Problems) {
	say := func(name string, others []string, format string, args ...any) {
		if bad[name] || slices.ContainsFunc(others, func(o string) bool { return bad[o] }) {
			return
		}
		problems = append(problems, Problem{At: c.origins[name], Key: name, Seen: c.written(name), Want: fmt.Sprintf(format, args...)})
	}
	c.checkPool(say, strict)
	c.checkTiers(say)
	if strict {
		c.checkUnused(say)
	}
	return problems
}

type sayer func(name string, others []string, format string, args ...any)

const (
	swapSize   = "swap.size"
	maxPercent = "pool.max_pool_percent"
	maxPool    = "pool.max_pool_size"
	overHalf   = "pool.allow_over_half"
)

func (c *Config) checkPool(say sayer, strict bool) {
	limitKey := maxPercent
	if c.Pool.MaxPoolSize > 0 {
		limitKey = maxPool
		if c.isSet(maxPercent) && (strict || c.last(maxPercent) > c.last(maxPool)) { // else the size takes its place
			say(maxPercent, []string{maxPool}, "%s is set as well (%s): remove one of them", maxPool, c.origins[maxPool])
		}
	}
	limit, all := c.PoolLimit(), []string{maxPercent, maxPool, swapSize}
	switch {
	case limit > c.ram:
		say(limitKey, all, "the pool may take %s, more than the RAM (%s), and nothing of it is ever swapped out: want less", report.Bytes(limit), report.Bytes(c.ram))
	case !c.Pool.AllowOverHalf && limit > c.ram/2:
		say(limitKey, append(all, overHalf), "the pool may take %s, more than half of the RAM (%s): want less, or %s = true", report.Bytes(limit), report.Bytes(c.ram), overHalf)
	}
	if c.Pool.MaxPoolSize > c.Swap.Size {
		say(maxPool, all, "more than the swap device holds: want at most %s, which is %s (%s)", swapSize, report.Bytes(c.Swap.Size), c.origins[swapSize])
	}
	if limit < zpool.MinBytes {
		say(limitKey, all, "the pool may take %s: want at least %s", report.Bytes(limit), report.Bytes(zpool.MinBytes))
	}
	if table := c.Swap.Size / zpool.PageSize * 8; limit >= zpool.MinBytes && table > limit/4 {
		say(swapSize, all, "the table of its pages takes %s, more than a quarter of the pool's %s: want a smaller device or a larger pool", report.Bytes(table), report.Bytes(limit))
	}
}

const (
	clusterSize    = "recompress.cluster_size"
	recompressName = "recompress.codec"
	recompressIdle = "recompress.idle_after"
	writebackFile  = "writeback.file"
	writebackIdle  = "writeback.idle_after"
)

func (c *Config) checkTiers(say sayer) {
	if n := c.Recompress.ClusterSize; n&(n-1) != 0 {
		say(clusterSize, nil, "want a power of two")
	}
	if c.Writeback.File != "" && c.Recompress.Codec != None && c.Writeback.IdleAfter < c.Recompress.IdleAfter {
		say(writebackIdle, []string{writebackFile, recompressName, recompressIdle}, "earlier than %s = %q (%s): want pages recompressed before they are written",
			recompressIdle, short(c.Recompress.IdleAfter), c.origins[recompressIdle])
	}
}

// checkUnused says what has no effect.
func (c *Config) checkUnused(say sayer) {
	if c.Recompress.Codec == None {
		for _, name := range []string{clusterSize, recompressIdle} {
			if c.isSet(name) {
				say(name, []string{recompressName}, "nothing is recompressed: %s is %q (%s); remove one of them", recompressName, None, c.origins[recompressName])
			}
		}
	}
	for i := range keys {
		name := keys[i].name
		if c.Writeback.File == "" && strings.HasPrefix(name, "writeback.") && name != writebackFile && c.isSet(name) {
			say(name, []string{writebackFile}, "nothing is written back: set %s too, or remove this", writebackFile)
		}
	}
}

func (c *Config) isSet(name string) bool { _, ok := c.origins[name]; return ok }

// last returns where among the entries the one is that counts, -1 for a default.
func (c *Config) last(name string) int {
	for i, e := range slices.Backward(c.entries) {
		if e.key == name {
			return i
		}
	}
	return -1
}

// written returns the value of a key as it was written, or its default.
func (c *Config) written(name string) string {
	if i := c.last(name); i >= 0 {
		return c.entries[i].seen()
	}
	return find(name).initial
}
