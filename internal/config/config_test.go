package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	if c, err := Load("", minRAM-1); err == nil {
		t.Errorf("%+v", c)
	}
	for _, ram := range []int64{minRAM, 64 << 20, gib, 16 * gib, 1 << 42} {
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
swap = { size = "4GiB", priority = 7, behind_zswap = true }
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
		Door: DoorUBLK, Swap: Swap{4 * gib, 7, true}, Pool: Pool{40, 3 * gib, true, 80, "zstd:3", true},
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
		"twice": {"door = \"fuse\"\n[swap]\nsize = \"1GiB\"\nsize = \"2GiB\"\n", `
F:4: swap.size = "2GiB": is there before, on line 3: want it once`},
		"no TOML": {"dor = \"fuse\"\ndoor = fuse\n", `
F:1: dor = "fuse": no such key; do you mean door?
F:2: door = fuse: no TOML: text wants quotes: door = "fuse"`},
		"no TOML, and more": {"door = fuse\n[swap]\nsize = \"1GiB\"\nsize = \"2GiB\"\npriority = 70000\npriority = \n[pool]\nwipe_on_free = yes\nmax_pool_percent = 400\n[log]\nlevel = \"loud\n", `
F:1: door = fuse: no TOML: text wants quotes: door = "fuse"
F:4: swap.size = "2GiB": is there before, on line 3: want it once
F:5: swap.priority = 70000: want a number from 0 to 32767
F:6: swap.priority: no TOML: unexpected character U+000A at start of value
F:8: pool.wipe_on_free = yes: no TOML: text wants quotes: wipe_on_free = "yes"
F:9: pool.max_pool_percent = 400: want a share of 1 to 100 percent, such as 40 or "40%"
F:11: log.level = "loud: no TOML: basic strings cannot have new lines`},
		"no TOML, and what depends on it": {"[swap]\nsize = 32MiB\n[pool]\nmax_pool_size = \"16MiB\"\n", `
F:2: swap.size = 32MiB: no TOML: strings must be quoted`},
		// What comes after it may mean something else.
		"no head of a table": {"[log]\nlevel = \"loud\"\n[swap\nsize = 4\n", `
F:2: log.level = "loud": want "debug", "info", "warn" or "error"
F:3: no TOML: expected ']' to close table name`},
		"several lines": {"[log]\nlevel = \"\"\"\nloud\n[swap]\nsize = 4\n", `
F:5: no TOML: multiline basic string not terminated by """`},
		"shapes": {"swap = 4\n[[pool]]\ncompressor = \"lz4\"\n[tiers]\n[tears]\nidle_after = \"1m\"\n", `
F:1: swap = 4: is a table: write [swap] on a line of its own
F:2: [[pool]]: want [pool], which is there once
F:3: compressor = "lz4": no such key; do you mean pool.compressor?
F:4: [tiers]: no such table; zswapd config show prints all there are
F:6: tears.idle_after = "1m": no such key; do you mean recompress.idle_after?`},
		"quoted dot": {"\"swap.size\" = \"1GiB\"\n", `
F:1: "swap.size" = "1GiB": no such key; do you mean swap.size?`},
		"values": {"[serve]\nlatency_hold = -1\nspin = \"1s\"\nthreads = 2.5\n[metrics]\nlisten = \"0.0.0.0:9101\"\n[control]\nsocket = \"control.sock\"\ngroup = \"a b\"\n[pool]\nmax_pool_percent = \"101%\"\nmax_pool_size = \"ram / 0\"\n", `
F:2: serve.latency_hold = -1: want a number of faults per second, "auto" or "off"
F:3: serve.spin = "1s": want a time from 0s to 10ms, such as "10s", "5m" or "1h30m"
F:4: serve.threads = 2.5: want a number from 0 to 64
F:6: metrics.listen = "0.0.0.0:9101": want a loopback address with a port, such as "127.0.0.1:9101" or "[::1]:9101", or "" for none
F:8: control.socket = "control.sock": want an absolute path of at most 98 bytes
F:9: control.group = "a b": want the name of a group, or "" for root only
F:11: pool.max_pool_percent = "101%": want a share of 1 to 100 percent, such as 40 or "40%"
F:12: pool.max_pool_size = "ram / 0": a division by zero; want a size of 1MiB to 1048576TiB, such as "8GiB" or "min(ram / 2, 8GiB)", or "" for max_pool_percent`},
		"two limits": {"[pool]\nmax_pool_percent = 30\nmax_pool_size = \"1GiB\"\n", `
F:2: pool.max_pool_percent = 30: pool.max_pool_size is set as well (F:3): remove one of them`},
		"over half": {"[pool]\nmax_pool_percent = 60\n", `
F:2: pool.max_pool_percent = 60: the pool may take 2.4 GiB, more than half of the RAM (4 GiB): want less, or pool.allow_over_half = true`},
		"over all": {"[swap]\nsize = \"ram * 8\"\n[pool]\nallow_over_half = true\nmax_pool_size = \"ram * 4\"\n", `
F:5: pool.max_pool_size = "ram * 4": the pool may take 16 GiB, more than the RAM (4 GiB), and nothing of it is ever swapped out: want less`},
		"swap smaller": {"[swap]\nsize = \"1GiB\"\n[pool]\nmax_pool_size = \"ram / 2\"\n", `
F:4: pool.max_pool_size = "ram / 2": more than the swap device holds: want at most swap.size, which is 1 GiB (F:2)`},
		"table": {"[swap]\nsize = \"1TiB\"\n", `
F:2: swap.size = "1TiB": the table of its pages takes 2 GiB, more than a quarter of the pool's 1.6 GiB: want a smaller device or a larger pool`},
		"no file": {"[writeback]\nidle_after = \"2h\"\nsize = \"1GiB\"\n", `
F:2: writeback.idle_after = "2h": nothing is written back: set writeback.file too, or remove this
F:3: writeback.size = "1GiB": nothing is written back: set writeback.file too, or remove this`},
		"no codec": {"[recompress]\ncodec = \"none\"\ncluster_size = \"8KiB\"\n", `
F:3: recompress.cluster_size = "8KiB": nothing is recompressed: recompress.codec is "none" (F:2); remove one of them`},
		"early": {"[recompress]\nidle_after = \"2h\"\n[writeback]\nfile = \"/x\"\n", `
default: writeback.idle_after = "1h": earlier than recompress.idle_after = "2h" (F:2): want pages recompressed before they are written`},
		// What is said of a bad value is not said again of what depends on it.
		"once": {"[pool]\nmax_pool_size = \"big\"\nmax_pool_percent = 90\n", `
F:2: pool.max_pool_size = "big": no number, no ram, no min(…) or max(…) at "big"; want a size of 1MiB to 1048576TiB, such as "8GiB" or "min(ram / 2, 8GiB)", or "" for max_pool_percent`},
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

// Later files count, by their names; /etc goes before /run before /usr/lib; and each value says where it came from.
func TestLayers(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) { write(t, filepath.Join(root, name), text) }
	put("usr/lib/zswapd/zswapd.toml", "door = \"ublk\"\n")
	put("etc/zswapd/zswapd.toml", "[swap]\npriority = 1\n[log]\nlevel = \"warn\"\n")
	put("usr/lib/zswapd/zswapd.toml.d/20-b.toml", "swap.priority = 2\nserve.threads = 2\n")
	put("run/zswapd/zswapd.toml.d/10-a.conf", "swap.priority = 3\n")
	put("usr/lib/zswapd/zswapd.toml.d/30-c.toml", "serve.threads = 9\n")
	put("run/zswapd/zswapd.toml.d/30-c.toml", "serve.threads = 10\n")
	put("usr/lib/zswapd/zswapd.toml.d/40-d.toml", "log.level = \"debug\"\n")
	put("etc/zswapd/zswapd.toml.d/50-e.toml.dpkg-old", "nonsense")
	put("etc/zswapd/zswapd.toml.d/.60-f.toml", "half writ")
	if err := os.Symlink("root@here.4711:1700000000", filepath.Join(root, "etc/zswapd/zswapd.toml.d/.#70-g.toml")); err != nil { // Emacs's lock
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(root, "etc/zswapd/zswapd.toml.d/40-d.toml")); err != nil {
		t.Fatal(err)
	}
	c, err := load(root, DefaultPath, 4*gib, "")
	c = must(t, c, err)
	from := map[string]string{}
	for _, s := range c.Settings() {
		from[s.Key] = s.Value + " " + s.From.String()
	}
	for key, want := range map[string]string{
		"door":          `"auto" default`, // /etc has the file
		"swap.priority": "2 /usr/lib/zswapd/zswapd.toml.d/20-b.toml:1",
		"serve.threads": "10 /run/zswapd/zswapd.toml.d/30-c.toml:1",
		"log.level":     `"warn" /etc/zswapd/zswapd.toml:4`,
	} {
		if from[key] != want {
			t.Errorf("%s: %s, want %s", key, from[key], want)
		}
	}
	if err := os.Remove(filepath.Join(root, "etc/zswapd/zswapd.toml")); err != nil {
		t.Fatal(err)
	}
	c, err = load(root, DefaultPath, 4*gib, "")
	if c = must(t, c, err); c.Door != DoorUBLK {
		t.Error("the file of /usr/lib was not read")
	}
}

func TestFiles(t *testing.T) {
	c, err := load(t.TempDir(), DefaultPath, gib, "") // the service needs no file
	if c = must(t, c, err); c.Door != DoorAuto {
		t.Error(c.Door)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/zswapd/x"), "")
	if err := os.Symlink("/not/mounted/yet", filepath.Join(root, DefaultPath)); err != nil {
		t.Fatal(err)
	}
	if c, err := load(root, DefaultPath, gib, ""); err == nil {
		t.Errorf("a link that leads nowhere is no configuration: %+v", c)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "typo.toml"), gib); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	path := write(t, filepath.Join(t.TempDir(), "open.toml"), "")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, gib); err == nil || !strings.Contains(err.Error(), "chmod o-w "+path) {
		t.Error(err)
	}
	if _, err := Load("/dev/zero", gib); err == nil || err.Error() != "config: /dev/zero: more than 1048576 bytes" {
		t.Error(err)
	}
}

// TestLoadWith: what files and settings say must be right together, not each for itself.
func TestLoadWith(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "zswapd.toml"), "pool.max_pool_size = \"16MiB\"\n")
	if _, err := Load(path, 16*gib); err == nil {
		t.Error("a device of 32 GiB on a pool of 16 MiB was taken")
	}
	c, err := LoadWith(path, 16*gib, "--set", "swap.size=256MiB")
	if must(t, c, err).Swap.Size != 256<<20 {
		t.Error(c.Swap.Size)
	}
}

func TestWith(t *testing.T) {
	c, err := Load("", 4*gib)
	c = must(t, c, err)
	_, err = c.With("--set", "pool.max_pool_size = ram / 4", `log.level="debug"`, "pool.compressor=zstd:3", "swap.priority=7", "recompress.idle_after=")
	if err == nil || err.Error() != `--set: recompress.idle_after = "": want a time from 1s to 720h, such as "10s", "5m" or "1h30m"` {
		t.Error(err)
	}
	d, err := c.With("--set", "pool.max_pool_size = ram / 4", `log.level="debug"`, "pool.compressor=zstd:3", "swap.priority=7")
	d = must(t, d, err)
	d, err = d.With("set at run time", "log.level=warn")
	got := Diff(c, must(t, d, err))
	want := []Change{
		{"swap.priority", "100", "7", Stop}, {"pool.max_pool_size", `""`, `"1GiB"`, Live},
		{"pool.compressor", `"minlz"`, `"zstd:3"`, Restart}, {"log.level", `"info"`, `"warn"`, Live},
	}
	if !slices.Equal(got, want) || len(Diff(c, c)) != 0 {
		t.Errorf("%v, want %v", got, want)
	}
	if s := got[0].String(); s != "swap.priority: 100 → 7 (stop and start)" {
		t.Error(s)
	}
	for _, bad := range []string{"", "log.level", "=", "nonsense=1", "log.level=debug\nswap.priority=3", "[log]=1", "log.level='", "a.b=c=d", "swap={size=\"1GiB\",priority=3}"} {
		if _, err := c.With("--set", bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if len(Diff(c, must(t, c, nil))) != 0 || c.Log.Level != "info" {
		t.Error("With changed what it was called on")
	}
}

// TestWithUnused: what is set at run time can make something useless that a file, or somebody before, has set. It is no mistake: nobody
// can take that away meanwhile.
func TestWithUnused(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "zswapd.toml"), "recompress.idle_after = \"2m\"\n[writeback]\nfile = \"/cold\"\nsize = \"1GiB\"\n")
	c, err := Load(path, 4*gib)
	c = must(t, c, err)
	c, err = c.With("set at run time", "writeback.file=")
	c = must(t, c, err)
	c, err = c.With("set at run time", "recompress.codec=none")
	if c = must(t, c, err); c.Writeback.File != "" || c.Recompress.Codec != None {
		t.Errorf("%+v", c)
	}
	c, err = c.With("set at run time", "pool.max_pool_percent=30")
	c = must(t, c, err)
	c, err = c.With("set at run time", "pool.max_pool_size=1GiB")
	if c = must(t, c, err); c.PoolLimit() != gib {
		t.Error(c.PoolLimit())
	}
	if _, err := c.With("set at run time", "pool.max_pool_percent=20"); err == nil { // it would change nothing
		t.Error("a share was taken that has no effect")
	}
	c, err = c.With("set at run time", "pool.max_pool_size=")
	if c = must(t, c, err); c.Pool.MaxPoolPercent != 30 || c.PoolLimit() > gib*3/2 {
		t.Error(c.PoolLimit())
	}
	if _, err := LoadWith(path, 4*gib, "--set", "writeback.file="); err == nil { // this one can
		t.Error("files and --set may contradict each other")
	}
}
