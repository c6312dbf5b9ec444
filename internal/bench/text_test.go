package bench

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zswapd/zswapd/internal/machine"
)

// sample is a result with numbers that are easy to find again.
func sample() *Result {
	states := States{
		Filled:  Level{Pages: 8192, OverPercent: 4.61},
		Freed50: Freed{Freed: Level{OverPercent: 99}, Compacted: Level{OverPercent: 12.25, FrameBytes: 1068, ObjectBytes: 1000}, Compaction: Compaction{Steps: 9, FramesPerObject: 0.789, LongestStepNs: 159_100}},
		Freed90: Freed{Freed: Level{OverPercent: 655.7}, Compacted: Level{OverPercent: 50.44}, Compaction: Compaction{Steps: 3, FramesPerObject: 2.5, LongestStepNs: 1_236_000}},
		Aged:    &Aged{Level: Level{OverPercent: 5.5}, EffectiveRatio: 5.432, ColdPages: 7000, PackNsPerPage: 12_340, ColdLoad: Single{15_600, 14_800, 33_000, 66_666}},
	}
	row := Row{
		System: "zswapd", Codec: "minlz", Default: true, Corpus: "my heap", Threads: 1, Pages: 8192, SameFilledPages: 410, DuplicatePages: 82,
		StoreNsPerPage: 6200, RestoreNsPerPage: 5600, LoadNsPerPage: 2904, StoreMBPerSecond: 660.6, RestoreMBPerSecond: 731.4, LoadMBPerSecond: 1410.5,
		CompressedRatio: 3.551, EffectiveRatio: 3.304, EffectiveRatioApart: 3.139, MetadataBytesPerPage: 26.14,
		SinglePage: SinglePage{Store: Single{6300, 6010, 21_000, 99_999}, Restore: Single{5700, 5400, 15_000, 88_888}, Load: Single{3000, 2950, 5200, 77_777}},
		States:     states, rounds: [ops][]float64{{6100, 6300.25}, {2900, 2908}, {5500, 5700}},
	}
	zram := row
	zram.System, zram.Codec, zram.Default, zram.EffectiveRatio, zram.LoadNsPerPage = "zram", "lzo-rle", false, 2.58, 12_345
	zram.States.Freed50.Compaction, zram.States.Freed90.Compaction = Compaction{Frames: 7}, Compaction{Frames: 8}
	zram.States.Aged = nil
	two := row
	two.Threads, two.StoreNsPerPage = 2, 3200
	other := row
	other.Corpus, other.SameFilledPages, other.DuplicatePages = "gen:json", 0, 0
	return &Result{
		Machine:     machine.Machine{Kernel: "6.18", CPU: "A CPU", CPUs: 2, MemoryBytes: 4 << 30, HugePages: "madvise", Go: "go1.26"},
		Noise:       machine.Noise{Busy: 0.4, Stolen: 0.05},
		Settings:    Settings{Rounds: 2, WarmUpRounds: 1, BlockPages: 512, ZRAMBatch: 64, ColdCodec: "zstd", ClusterSize: 16 << 10},
		Rows:        []Row{row, zram, two, other},
		Comparisons: []Comparison{{Codec: "minlz", Against: "zram:lzo-rle", Threads: 1, StoreRate: 0.94, RestoreRate: 1.06, LoadRate: 0.77, EffectiveRatio: 1.28, AgedRatio: 1.93}},
	}
}

func TestText(t *testing.T) {
	datadriven.RunTest(t, "testdata/text", func(t *testing.T, d *datadriven.TestData) string {
		var b bytes.Buffer
		must(t, sample().WriteText(&b))
		return b.String()
	})
}

// Lines are as the benchmark format wants them: a name, a count, pairs of number and unit.
func TestGoBench(t *testing.T) {
	var b bytes.Buffer
	must(t, sample().WriteGoBench(&b))
	format := regexp.MustCompile(`^Benchmark[^\s=]+(/[a-z]+=[^\s/=]+)+\t[1-9]\d*(\t\d+(\.\d+)? [A-Za-z/-]+)+$`)
	config := regexp.MustCompile(`^[a-z]+: \S.*$`)
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	benchmarks := map[string]int{}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "\t")
		switch {
		case format.MatchString(line):
			benchmarks[name]++
		case !config.MatchString(line) || len(benchmarks) > 0:
			t.Errorf("%q", line)
		}
	}
	const name = "BenchmarkPool/system=zswapd/codec=minlz/corpus=my%20heap/threads=1/op="
	if len(benchmarks) != 4*4 || benchmarks[name+"store"] != 2 || benchmarks[name+"memory"] != 1 {
		t.Errorf("%v", benchmarks)
	}
	if !strings.Contains(b.String(), name+"store\t8192\t6300.2 ns/op\t650.13 MB/s\n") || !strings.Contains(b.String(), name+"load\t8192\t2908.0 ns/op") {
		t.Errorf("%s", b.String())
	}
}

// Whatever corpora are called, their lines are those of one benchmark each: fields end at any space that Unicode knows.
func TestNamesOfBenchmarks(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a b", "a_b", "a%20b", "a/b", "a=b", "a\u00a0b", "a\u2028b", "a\u0085b", "größe", "gen:java"} {
		word := oneWord(name)
		if len(strings.Fields(word)) != 1 || strings.ContainsAny(word, "/=") || seen[word] != "" {
			t.Errorf("%q becomes %q, as does %q", name, word, seen[word])
		}
		seen[word] = name
	}
}
