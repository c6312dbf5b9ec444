package run

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/zpool"
)

// usage is what this process has taken so far.
type usage struct {
	user, system float64 // seconds of CPU
	peak, own    int64   // bytes: the most that was resident, and what is resident now beside shared memory
}

func takeUsage() (u usage) {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
		u.user, u.system = seconds(r.Utime), seconds(r.Stime)
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "VmHWM:":
			u.peak = kib << 10
		case "RssAnon:", "RssFile:":
			u.own += kib << 10
		}
	}
	return u
}

func (u usage) since(before usage) report.Daemon {
	user, system := u.user-before.user, u.system-before.system
	return report.Daemon{RSSBytes: u.peak, OwnBytes: u.own, CPUSeconds: user + system, UserSeconds: user, SystemSeconds: system}
}

func seconds(t unix.Timeval) float64 { return time.Duration(t.Nano()).Seconds() }

// fillPool fills in what the pool knows.
func fillPool(r *report.Report, s *zpool.Stats, p *zpool.Pool) {
	r.Pool = report.Pool{
		Codec: p.Compressor(), LimitBytes: s.LimitBytes,
		StoredPages: s.StoredPages, PeakStoredPages: s.PeakStoredPages,
		SameFilledPages: s.SameFilledPages, IncompressiblePages: s.IncompressiblePages,
		CompressedBytes: s.CompressedBytes, MemoryBytes: s.MemoryBytes, PeakMemoryBytes: s.PeakMemoryBytes,
		Ratio: s.Ratio(), SavedBytes: s.PeakStoredPages*zpool.PageSize - s.PeakStoredMemory,
		PagesCompacted: s.PagesCompacted, ObjectsMigrated: s.ObjectsMigrated,
		Rejected: map[string]uint64{"full": s.RejectedFull, "alloc_fail": s.RejectedAllocFail},
	}
	r.Latency = report.Latency{Store: report.QuantilesOf(&s.StoreTime), Load: report.QuantilesOf(&s.LoadTime)}
	r.Errors.Corrupt, r.Errors.Unreadable = s.Corrupt, s.Unreadable
	set, did := p.Settings(), &s.Recompressed
	r.Tiers = report.Tiers{
		Codec: set.RecompressCodec, IdleAfterSeconds: set.IdleAfter.Seconds(), Clusters: s.Clusters, Generations: s.Ticks,
		Hot:         report.Tier{Pages: s.StoredPages - s.SameFilledPages - s.ColdPages - s.WrittenPages, Bytes: s.CompressedBytes - s.ColdBytes},
		Cold:        report.Tier{Pages: s.ColdPages, Bytes: s.ColdBytes},
		PackedPages: did.Pages, KeptPages: did.Kept, LostPages: did.Lost, SavedBytes: did.Bytes, PromotedPages: s.Promoted,
		CPUSeconds: s.PackCPU.Seconds(), Pack: report.QuantilesOf(&s.PackTime), ColdLoad: report.QuantilesOf(&s.ColdLoadTime),
	}
	if b := &s.Backing; b.Bytes > 0 {
		r.Tiers.Written = &report.Written{
			Pages: s.WrittenPages, Bytes: b.LiveBytes, FileBytes: b.Bytes,
			PagesOut: s.WrittenBack.Pages, BytesOut: int64(b.WrittenBytes), PagesTouched: s.WrittenBack.Lost,
			Reads: b.Reads, Load: report.QuantilesOf(&s.DiskLoadTime), ExtentsCleaned: b.Cleaned, WriteErrors: b.WriteErrors,
		}
		if s.BackingError != nil {
			r.Tiers.Written.LastError = s.BackingError.Error()
		}
	}
}

// The built-in workload fills this many times the limit, and touches this many of its pages for each page of the limit.
const (
	WorkloadTimes   = 4
	touchesPerLimit = 4
)

// workloadOf returns the built-in workload for a limit.
func workloadOf(o *Options) workload.Config {
	if o.Work != nil {
		c := *o.Work
		c.Child = o.Self
		return c
	}
	c, err := workload.Default().Named(o.Workload)
	if err != nil {
		panic(err) // Complete was called
	}
	c.Child = o.Self
	c.Bytes = WorkloadTimes * o.Memory
	c.Touches = touchesPerLimit * o.Memory / zpool.PageSize
	c.Seed = o.Seed
	return c
}

func workloadConfig(o *Options) []byte {
	b, err := json.Marshal(workloadOf(o))
	if err != nil {
		panic(err) // plain numbers and strings
	}
	return b
}
