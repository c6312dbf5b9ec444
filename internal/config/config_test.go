package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const gib = 1 << 30

// write makes a file and the folders above it.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t testing.TB, c *Config, err error) *Config {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	for _, ram := range []int64{64 << 20, gib, 16 * gib, 1 << 42} {
		c, err := Load("", ram)
		c = must(t, c, err)
		if c.Swap.Size != min(2*ram, 64*gib) || c.PoolLimit() > ram/2 || c.PoolLimit() > c.Swap.Size || c.RAM() != ram {
			t.Errorf("%s: swap %s, pool %s", Size(ram), Size(c.Swap.Size), Size(c.PoolLimit()))
		}
		if c.Door != DoorAuto || c.Pool.Compressor != "minlz" || c.Serve.LatencyHold != HoldAuto || c.Serve.Spin != 50*time.Microsecond || c.Writeback.File != "" {
			t.Errorf("%+v", c)
		}
	}
}

// Every key can be set in a file, and is where Config has it.
func TestEveryKey(t *testing.T) {
	text := `
door = "ublk"
swap = { size = "4GiB", priority = 7 }
[pool]
max_pool_size = "ram * 3 / 4"
allow_over_half = true
accept_threshold_percent = "80%"
compressor = "zstd:3"
wipe_on_free = true
[recompress]
codec = "zstd:9"
idle_after = "90s"
cluster_size = "32K"
[writeback]
file = "/var/lib/cold"
idle_after = "2h"
size = "1T"
limit_per_day = "20GiB"
[compact]
min_waste_percent = 9
[serve]
latency_hold = 1_000
spin = "0s"
threads = 3
[metrics]
listen = "[::1]:9101"
[control]
socket = "/run/other"
group = "zswapd"
[log]
level = "debug"
`
	path := write(t, filepath.Join(t.TempDir(), "c.toml"), text)
	c, err := Load(path, 4*gib)
	c = must(t, c, err)
	want := Config{
		Door: DoorUBLK, Swap: Swap{4 * gib, 7}, Pool: Pool{40, 3 * gib, true, 80, "zstd:3", true},
		Recompress: Recompress{90 * time.Second, "zstd:9", 32 << 10}, Writeback: Writeback{"/var/lib/cold", 2 * time.Hour, 1 << 40, 20 * gib},
		Compact: Compact{9}, Serve: Serve{1000, 0, 3}, Metrics: Metrics{"[::1]:9101"}, Control: Control{"/run/other", "zswapd"}, Log: Log{"debug"},
	}
	if got := Diff(c, &want); len(got) != 0 {
		t.Error(got)
	}
	defaults, err := Load("", 4*gib)
	if got := Diff(must(t, defaults, err), c); len(got) != len(keys)-1 {
		t.Errorf("%d keys of %d were set: %v", len(got), len(keys)-1, got) // all but max_pool_percent
	}
	if c.PoolLimit() != 3*gib {
		t.Error(c.PoolLimit())
	}
}

// All problems at once, in the words that a user reads.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"many": {"dor = \"fuse\"\n[swap]\nsize = 4096\npriority = \"high\"\nmax_pool_percent = 30\n[pool]\ncompressor = \"lzo\"\nwipe_on_free = \"yes\"\n[recompress]\nidle_after = 10\ncluster_size = \"12KiB\"\n", `
F:1: dor = "fuse": no such key; do you mean door?
F:3: swap.size = 4096: a number without a unit: write "4096MiB", if that is meant; want a size of 16MiB to 15TiB, such as "8GiB" or "min(ram / 2, 8GiB)"
F:4: swap.priority = "high": want a number from 0 to 32767
F:5: swap.max_pool_percent = 30: no such key; do you mean pool.max_pool_percent?
F:7: pool.compressor = "lzo": want one of none, lz4, lz4hc, s2, minlz, minlz:0, minlz:2, zstd, zstd:3, zstd:6, zstd:10
F:8: pool.wipe_on_free = "yes": want true or false, without quotes
F:10: recompress.idle_after = 10: want a time from 1s to 720h, such as "10s", "5m" or "1h30m"
F:11: recompress.cluster_size = "12KiB": want a power of two`},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, name+".toml"), c.text)
			_, err := Load(path, 4*gib)
			var p Problems
			if !errors.As(err, &p) {
				t.Fatal(err)
			}
			if got := "\n" + strings.ReplaceAll(err.Error(), path, "F"); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
