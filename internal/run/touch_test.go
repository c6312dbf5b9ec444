package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/pmqos"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/internal/swaptest"
	"github.com/zswapd/zswapd/internal/workload"
	"github.com/zswapd/zswapd/internal/zram"
)

const workloadArg = "__touch"

func TestMain(m *testing.M) {
	launch.Main()
	swapdev.Main()
	if len(os.Args) == 2 && os.Args[1] == workloadArg {
		if err := workload.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	unlock := swaptest.Lock()
	code := m.Run()
	unlock()
	os.Exit(code)
}

// rounds of BenchmarkTouches, in which the devices take turns; it reports medians.
const rounds = 5

// BenchmarkTouches touches 512 MiB at random in a memory cgroup of 256 MiB, without read-ahead, on our device and on
// zram, as each comes and with a latency hold for both:
//
//	sudo go test ./internal/run -run xxx -bench Touches -benchtime 1x
func BenchmarkTouches(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("real swap needs root")
	}
	noReadahead(b)
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		b.Fatal(err)
	}
	devices := []struct {
		name string
		run  func(b *testing.B) *workload.Result
	}{
		{"zswapd", func(b *testing.B) *workload.Result { return touchOurs(b, HoldAuto) }},
		{"zram-lz4", func(b *testing.B) *workload.Result { return touchZram(b, "lz4", false) }},
		{"zswapd/hold=on", func(b *testing.B) *workload.Result { return touchOurs(b, 200) }},
		{"zram-lz4/hold=on", func(b *testing.B) *workload.Result { return touchZram(b, "lz4", true) }},
	}
	results, kills := make([][]*workload.Result, len(devices)), make([]int, len(devices))
	for range rounds {
		for i, d := range devices {
			// The kernel's OOM killer strikes now and then although there is swap to be had, on zram more often than here.
			for {
				r := d.run(b)
				if r != nil {
					results[i] = append(results[i], r)
					break
				}
				if kills[i]++; kills[i] > 2*rounds {
					b.Fatalf("%s: the workload was killed %d times", d.name, kills[i])
				}
			}
		}
	}
	for i, d := range devices {
		b.Run("device="+d.name, func(b *testing.B) {
			median := func(get func(*workload.Result) float64) float64 {
				var all []float64
				for _, r := range results[i] {
					all = append(all, get(r))
				}
				slices.Sort(all)
				return all[len(all)/2]
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(func(r *workload.Result) float64 { return r.TouchesPerSecond }), "touches/s")
			b.ReportMetric(median(func(r *workload.Result) float64 { return float64(r.Fault.P50) / 1e3 }), "fault-p50-µs")
			b.ReportMetric(median(func(r *workload.Result) float64 { return float64(r.Fault.P90) / 1e3 }), "fault-p90-µs")
			b.ReportMetric(median(func(r *workload.Result) float64 { return float64(r.Fault.P99) / 1e3 }), "fault-p99-µs")
			b.ReportMetric(median(func(r *workload.Result) float64 { return r.FillSeconds }), "fill-s")
			b.ReportMetric(float64(kills[i]), "oom-kills")
		})
	}
}

func noReadahead(b *testing.B) {
	const file = "/proc/sys/vm/page-cluster"
	before, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte("0"), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) })
}

func touchOptions(b *testing.B) *Options {
	w := workload.RandomTouches(3 * time.Second)
	o := &Options{
		Memory: w.Bytes / 2, Swap: 1 << 30, PoolLimit: 1 << 30, Priority: swapdev.MaxPriority, SpinMax: 50 * time.Microsecond,
		Compressor: compressor.Default, State: b.TempDir(), Self: []string{"/proc/self/exe", workloadArg}, Progress: io.Discard, work: &w,
	}
	if err := o.Complete(); err != nil {
		b.Fatal(err)
	}
	return o
}

func touchOurs(b *testing.B, hold float64) *workload.Result {
	o := touchOptions(b)
	o.HoldRate = hold
	r, err := Run(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	return r.Workload
}

func touchZram(b *testing.B, algorithm string, hold bool) (result *workload.Result) {
	o := touchOptions(b)
	d, err := zram.Create(algorithm, o.Swap)
	if err != nil {
		b.Skip(err)
	}
	defer func() {
		if err := d.Remove(); err != nil {
			b.Error(err)
		}
	}()
	if err := d.SwapOn(swapdev.MaxPriority); err != nil {
		b.Fatal(err)
	}
	h, err := pmqos.New(pmqos.Options{Disable: !hold})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	s := &session{o: o}
	if s.group, err = cgroup.Create(fmt.Sprintf("bench-%d", os.Getpid()), o.Memory); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.takeDown(); err != nil {
			b.Error(err)
		}
	}()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // the hold wants to see traffic
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				h.Event()
			}
		}
	}()
	c, err := s.command(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return c.workload
}
