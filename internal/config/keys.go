package config

import (
	"time"

	"github.com/zswapd/zswapd/zpool"
)

// maxSwap is the most that a device holds: what the pool has slots for, in whole TiB.
const maxSwap = int64(zpool.MaxSlots) * pageSize >> 40 << 40

// maxSocket is the most bytes of a socket's path: of the 107 that the kernel takes, two dots and seven digits of a process are for the
// name under which it is made.
const maxSocket = 107 - 9

// keys are all settings, in the order of the documented file. Each is defined here and nowhere else.
var keys = []key{
	setting("door", `"auto"`, Stop, choice(DoorAuto, DoorFUSE, DoorUBLK), func(c *Config) *string { return &c.Door },
		`How pages come to us: "ublk" (Linux 6.5 with the module ublk_drv), for a whole machine; "fuse" (a loop device over a
FUSE file), for programs under cgroup limits: when the machine itself has no memory left, it can stall. "auto" takes what
is known to work for a whole machine on this kernel and says why; if there is none, it does not start.`),

	setting("swap.size", `"min(ram * 2, 64GiB)"`, Stop, size(16<<20, maxSwap, ""), func(c *Config) *int64 { return &c.Swap.Size },
		`What the device holds, before compression. It costs 8 bytes of memory for each page that it could hold.
Sizes are expressions: numbers with a unit (K, M, G, T or KiB …, powers of 1024), ram, + - * / ( ),
min(…) and max(…).`),
	setting("swap.priority", `100`, Stop, integer(0, 32767), func(c *Config) *int { return &c.Swap.Priority },
		`The kernel fills the device with the highest priority first; disks usually have a negative one.`),
	setting("swap.behind_zswap", `false`, Live, boolean, func(c *Config) *bool { return &c.Swap.BehindZswap },
		`The kernel's own zswap is in front of this device, and is meant to be: zswapd doctor then looks that it is on, else
that it is off.`),

	setting("pool.max_pool_percent", `40`, Live, percent(1), func(c *Config) *int { return &c.Pool.MaxPoolPercent },
		`The most RAM that the pool may take, all overhead counted, as a share. It takes memory only for pages that
it holds. It never takes more than swap.size.`),
	setting("pool.max_pool_size", `""`, Live, size(zpool.MinBytes, maxSize, "max_pool_percent"), func(c *Config) *int64 { return &c.Pool.MaxPoolSize },
		`The same as a size, in the place of max_pool_percent: "min(ram / 2, 8GiB)".`),
	setting("pool.allow_over_half", `false`, Live, boolean, func(c *Config) *bool { return &c.Pool.AllowOverHalf },
		`The pool may take more than half of the RAM. What it takes nobody else can have, and it is never swapped out.`),
	setting("pool.accept_threshold_percent", `90`, Live, percent(1), func(c *Config) *int { return &c.Pool.AcceptThresholdPercent },
		`A pool that hit its limit takes no page until it is back at this share of it.`),
	setting("pool.compressor", `"minlz"`, Restart, codec(""), func(c *Config) *string { return &c.Pool.Compressor },
		`The codec of pages that come in: none, lz4, lz4hc[:1-9], s2, minlz[:0-3], zstd[:1-22]. What is stored stays
as it is. zswapd estimate says what each would come to on this machine.`),
	setting("pool.wipe_on_free", `false`, Live, boolean, func(c *Config) *bool { return &c.Pool.WipeOnFree },
		`Memory of pages that are gone is overwritten at once. Costs a write of each object that is freed.`),

	setting("recompress.codec", `"zstd"`, Live, codec("zstd"), func(c *Config) *string { return &c.Recompress.Codec },
		`The codec of pages that have been idle: zstd, with a level if you like ("zstd:9"), or "none" to leave them.`),
	setting("recompress.idle_after", `"10m"`, Live, duration(time.Second, 30*24*time.Hour), func(c *Config) *time.Duration { return &c.Recompress.IdleAfter },
		`A page that nobody asked for during this time is idle.`),
	setting("recompress.cluster_size", `"16KiB"`, Live, size(pageSize, 64<<10, ""), func(c *Config) *int64 { return &c.Recompress.ClusterSize },
		`Idle neighbours are compressed together up to this size, a power of two: denser, and one page back costs the
decompression of all.`),

	setting("writeback.file", `""`, Live, path(4095, "no disk"), func(c *Config) *string { return &c.Writeback.File },
		`Where the coldest pages go, encrypted with a key that is in memory only: a folder, in which the file has no
name and is gone with the service; or a file, which is made; or a block device that nobody uses. What holds
anything else is refused. Without it, all that is there comes back into memory, or it stays in use.`),
	setting("writeback.idle_after", `"1h"`, Live, duration(time.Second, 30*24*time.Hour), func(c *Config) *time.Duration { return &c.Writeback.IdleAfter },
		`A page that nobody asked for during this time is written to the disk; earlier if the pool is full.`),
	setting("writeback.size", `"min(ram, 16GiB)"`, Stop, size(16<<20, maxSize, ""), func(c *Config) *int64 { return &c.Writeback.Size },
		`The most that the file may take.`),
	setting("writeback.limit_per_day", `""`, Live, size(1<<20, maxSize, "no limit"), func(c *Config) *int64 { return &c.Writeback.LimitPerDay },
		`The most that is written in 24 hours, to spare a flash disk. Under systemd, a stop or a reboot does
not end the count.`),

	setting("compact.min_waste_percent", `6`, Live, percent(1), func(c *Config) *int { return &c.Compact.MinWastePercent },
		`Compaction begins when it could free this share of the pool's memory, and goes on until half of that is left.`),

	setting("serve.latency_hold", `"auto"`, Restart, hold, func(c *Config) *float64 { return &c.Serve.LatencyHold },
		`Faults per second from which on idle CPUs are kept awake (/dev/cpu_dma_latency), which makes a fault two to
three times faster and costs power. "auto": 200, if waking a CPU takes long here. "off": never.`),
	setting("serve.spin", `"50µs"`, Restart, duration(0, 10*time.Millisecond), func(c *Config) *time.Duration { return &c.Serve.Spin },
		`The longest time to spin for the next request, when a CPU is free for it. "0s": not at all.`),
	setting("serve.threads", `0`, Restart, integer(0, 64), func(c *Config) *int { return &c.Serve.Threads },
		`Threads that serve; 0 for what suits the machine.`),

	setting("metrics.listen", `""`, Restart, loopback, func(c *Config) *string { return &c.Metrics.Listen },
		`A loopback address with a port for Prometheus: "127.0.0.1:9101". Every local user can read it, and the
unit needs a drop-in for it: systemd/README.md. The control socket has the metrics in any case.`),

	setting("control.socket", `"/run/zswapd/control.sock"`, Restart, path(maxSocket, ""), func(c *Config) *string { return &c.Control.Socket },
		`Where the service answers. Of another path than this, zswapd status and its like must be told (--socket), and so must the
unit (ExecReload=).`),
	setting("control.group", `""`, Restart, group, func(c *Config) *string { return &c.Control.Group },
		`Members of this group may read status and metrics. Changes are root's.`),

	setting("log.level", `"info"`, Live, choice("debug", "info", "warn", "error"), func(c *Config) *string { return &c.Log.Level },
		`What goes to the journal.`),
}
