package doctor

import (
	"fmt"
	"strconv"

	"github.com/zswapd/zswapd/internal/config"
)

// advice on one kernel setting.
type advice struct {
	name  string
	value func(f *Facts) int
	well  func(f *Facts, v int) bool
	set   int // what to
	why   string
}

// minFreeKB is what vm.min_free_kbytes should be at least: see ARCHITECTURE, When the whole machine is short.
const minFreeKB = 16384

var sysctls = []advice{
	{"page-cluster", func(f *Facts) int { return f.PageCluster }, func(_ *Facts, v int) bool { return v == 0 }, 0,
		"a fault reads 2^%d pages, each of which is decompressed and pushes another one out"},
	{"swappiness", func(f *Facts) int { return f.Swappiness }, func(_ *Facts, v int) bool { return v >= 100 }, 150,
		"%d says that swap is slower than files, which compressed memory is not"},
	{"min_free_kbytes", func(f *Facts) int { return f.MinFreeKB }, func(f *Facts, v int) bool { return v >= minFreeKB || int64(v)<<10 >= f.RAM/32 }, minFreeKB,
		"of %d KiB, half is what the daemon can have when nothing is free"},
	{"watermark_boost_factor", func(f *Facts) int { return f.WatermarkBoost }, func(_ *Facts, v int) bool { return v == 0 }, 0,
		"%d: after fragmentation kswapd swaps out far more than is needed"},
	{"watermark_scale_factor", func(f *Facts) int { return f.WatermarkScale }, func(_ *Facts, v int) bool { return v >= 50 }, 100,
		"%d/10000 of the memory: kswapd begins late, and programs must free memory themselves"},
}

func checkSysctls(f *Facts, _ *config.Config) (all []Finding) {
	swappiness, full := f.swappinessBefore()
	for _, s := range sysctls {
		v := s.value(f)
		if s.name == "swappiness" && full {
			all = append(all, one("sysctl", Note, "", "vm.swappiness = %d while our pool is full: the daemon has set it, and will set it back to %d", v, swappiness)...)
			v = swappiness
		}
		switch {
		case v == Unknown:
			all = append(all, one("sysctl", Note, "", "vm.%s cannot be read", s.name)...)
		case s.well(f, v):
			all = append(all, one("sysctl", OK, "", "vm.%s = %d", s.name, v)...)
		default:
			mend := fmt.Sprintf("sysctl -w vm.%s=%d; to keep it, 60-zswapd.conf in /etc/sysctl.d", s.name, s.set)
			if s.name == "min_free_kbytes" {
				mend = fmt.Sprintf("sysctl -w vm.%s=%d; to keep it, that line in /etc/sysctl.d", s.name, s.set)
			}
			all = append(all, one("sysctl", Advice, mend, "vm."+s.name+": "+s.why, v)...)
		}
	}
	return all
}

// swappinessBefore returns what vm.swappiness will be again, if it is now what a daemon of ours has made of it.
func (f *Facts) swappinessBefore() (before int, ok bool) {
	for _, r := range f.Runs {
		s := r.Record.Swappiness
		n, err := strconv.Atoi(s.Before)
		if r.Owned && err == nil && s.Set == strconv.Itoa(f.Swappiness) && s.Set != s.Before {
			return n, true
		}
	}
	return 0, false
}
