package estimate

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
)

// example is an estimate with something in every field.
func example() *Report {
	r := &Report{
		Version: 1, Target: "all processes",
		Machine: machine.Machine{Kernel: "6.1.2", CPU: "A CPU", CPUs: 4, MemoryBytes: 16 << 30, Virtual: true, PageCluster: 3, Swappiness: 60, HugePages: "madvise", Load: 0.5, Go: "go1.26"},
		Noise:   machine.Noise{Busy: 0.25, Stolen: 0.01},
		Population: Population{
			Processes: 120, GoneProcesses: 1, DeniedProcesses: 2, EligibleBytes: 5 << 30, SwappedBytes: 300 << 20, UnreferencedBytes: 2 << 30,
			LeftOutBytes: map[capture.Reason]int64{capture.Stack: 20 << 20, capture.NotDumped: 4 << 20, capture.Locked: 1 << 20},
		},
		Sample: Sample{Pages: 16384, Seed: 1, SameFilledPages: 400, DuplicatePages: 30},
		Codecs: []Codec{
			{Codec: "lz4", UnitBytes: 4096, Ratio: 2.81, Margin: 0.021, EffectiveRatio: 2.7, IncompressiblePages: 120, Store: report.Quantiles{P50: 6000, P90: 7000, P99: 9000, Max: 90000}, Load: report.Quantiles{P50: 1900, P90: 2000, P99: 3000, Max: 40000}},
			{Codec: "minlz", UnitBytes: 4096, Ratio: 3.31, Margin: 0.022, EffectiveRatio: 3.15, IncompressiblePages: 110, Store: report.Quantiles{P50: 4800, P90: 5000, P99: 7000, Max: 80000}, Load: report.Quantiles{P50: 2000, P90: 2100, P99: 3100, Max: 30000}},
			{Codec: "zstd", UnitBytes: 16384, Ratio: 5.3, Margin: 0.03, IncompressiblePages: 90, Store: report.Quantiles{P50: 13000, P90: 14000, P99: 17000, Max: 180000}, Load: report.Quantiles{P50: 18000, P90: 19000, P99: 23000, Max: 130000}},
		},
	}
	r.Choice = Choose(r.Codecs, r.Population.EligibleBytes, r.Machine.MemoryBytes)
	r.Savings = savings(&r.Population, r.chosen().EffectiveRatio)
	return r
}

// The contract is what testdata/json says: fields may be added to it, none is removed or renamed.
func TestJSON(t *testing.T) { golden(t, "json", example().WriteJSON) }

func TestText(t *testing.T) {
	golden(t, "text", example().WriteText)
	r := example()
	r.Sample.Pages, r.Population.Processes = 500, 1
	r.Codecs[1].EffectiveRatio = 1.05
	r.Codecs[0].EffectiveRatio = 1.04
	r.Choice = Choose(r.Codecs, r.Population.EligibleBytes, r.Machine.MemoryBytes)
	r.Savings = savings(&r.Population, r.chosen().EffectiveRatio)
	golden(t, "text-not-worth-it", r.WriteText)
}

func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	noErr(t, write(&b))
	file := filepath.Join("testdata", name)
	if *rewrite {
		noErr(t, os.WriteFile(file, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	noErr(t, err)
	if b.String() != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, b.String(), want)
	}
}
