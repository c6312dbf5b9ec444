package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zswapd/zswapd/internal/control"
)

const prefix = "zswapd_"

// Those with labels.
var (
	infoDesc     = describe("info", "1, and in its labels what the daemon is.", "version", "door", "compressor")
	stateDesc    = describe("state", "1 for the state that the daemon is in, 0 for the others.", "state")
	rejectedDesc = describe("rejected_total", "Pages refused, by reason; the kernel kept them.", "reason")
	cpuDesc      = describe("cpu_seconds_total", "CPU time that the daemon took.", "mode")
	tierPages    = describe("tier_pages", "Pages in a tier.", "tier", "codec")
	tierBytes    = describe("tier_compressed_bytes", "Bytes of the compressed pages in a tier.", "tier", "codec")
	backingPages = describe("backing_pages", "Pages in the backing file.")
	backingUsed  = describe("backing_used_bytes", "Bytes of the backing file in use.")
	backingSize  = describe("backing_size_bytes", "Size of the backing file.")

	labelled = []*prometheus.Desc{infoDesc, stateDesc, rejectedDesc, cpuDesc, tierPages, tierBytes, backingPages, backingUsed, backingSize}
)

var states = []string{control.StateStarting, control.StateServing, control.StateDraining, control.StateDrained, control.StateStopping,
	control.StateFailing}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// Collector makes the metrics of a daemon when they are asked for. It is a prometheus.Collector.
type Collector struct {
	source  Source
	simples []*prometheus.Desc // as in simples
	timings []*prometheus.Desc // as in timings
}

// New makes a collector.
func New(source Source) *Collector {
	c := &Collector{source: source}
	for _, m := range simples {
		c.simples = append(c.simples, describe(m.name, m.help))
	}
	for _, m := range timings {
		c.timings = append(c.timings, describe(m.name, m.help))
	}
	return c
}

// Handler answers a scrape. It compresses nothing: that would take a MiB of memory, and the way is short.
func Handler(source Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(New(source))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true})
}

// Describe tells all that Collect may give.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, list := range [][]*prometheus.Desc{c.simples, c.timings, labelled} {
		for _, d := range list {
			to <- d
		}
	}
}

// Collect gives the values of now.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := snapshot{c.source.Info(), c.source.Stats()}
	for i, m := range simples {
		to <- prometheus.MustNewConstMetric(c.simples[i], m.kind, m.value(&s))
	}
	for i, m := range timings {
		to <- newTiming(c.timings[i], m.value(&s.stats), s.info.Started)
	}
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(infoDesc, gauge, 1, s.info.Version, s.info.Door.Kind, s.info.Compressor)
	for _, state := range states {
		send(stateDesc, gauge, number(s.info.State == state), state)
	}
	for reason := range control.Reasons {
		send(rejectedDesc, counter, float64(s.stats.Rejected[reason]), reason)
	}
	send(cpuDesc, counter, s.stats.UserCPU.Seconds(), "user")
	send(cpuDesc, counter, s.stats.SystemCPU.Seconds(), "system")
	for _, t := range s.stats.Tiers {
		send(tierPages, gauge, float64(t.Pages), t.Name, t.Codec)
		send(tierBytes, gauge, float64(t.CompressedBytes), t.Name, t.Codec)
	}
	if b := s.stats.Backing; b != nil {
		send(backingPages, gauge, float64(b.Pages))
		send(backingUsed, gauge, float64(b.UsedBytes))
		send(backingSize, gauge, float64(b.SizeBytes))
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
