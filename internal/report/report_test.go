package report

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/workload"
)

// The contract: these fields, in this version, for ever.
func TestJSONContract(t *testing.T) {
	var b strings.Builder
	r := Report{Version: Version, Command: Command{Args: []string{"x"}}, Pool: Pool{Rejected: map[string]uint64{"full": 1}}}
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(`version limit_bytes
		command.args command.exit_code command.wall_seconds command.user_seconds command.system_seconds command.max_rss_bytes command.major_faults
		swap.device swap.size_bytes swap.peak_used_bytes swap.pages_out swap.pages_in swap.discarded_pages
		pool.codec pool.stored_pages pool.peak_stored_pages pool.same_filled_pages pool.incompressible_pages pool.compressed_bytes
		pool.memory_bytes pool.peak_memory_bytes pool.ratio pool.saved_bytes pool.pages_compacted pool.objects_migrated pool.rejected
		latency.store_ns.p50 latency.store_ns.p90 latency.store_ns.p99 latency.store_ns.max
		latency.load_ns.p50 latency.load_ns.p90 latency.load_ns.p99 latency.load_ns.max
		tiers.codec tiers.idle_after_seconds tiers.hot.pages tiers.hot.bytes tiers.cold.pages tiers.cold.bytes tiers.clusters
		tiers.packed_pages tiers.promoted_pages tiers.kept_pages tiers.lost_pages tiers.saved_bytes tiers.generations tiers.cpu_seconds
		tiers.pack_ns.p50 tiers.pack_ns.p90 tiers.pack_ns.p99 tiers.pack_ns.max
		tiers.cold_load_ns.p50 tiers.cold_load_ns.p90 tiers.cold_load_ns.p99 tiers.cold_load_ns.max
		errors.corrupt errors.io daemon.rss_bytes daemon.cpu_seconds`) {
		var at any = got
		for key := range strings.SplitSeq(path, ".") {
			m, ok := at.(map[string]any)
			if at = m[key]; !ok || at == nil {
				t.Errorf("%s is not there", path)
				break
			}
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 20: "1 MiB", 1500 << 20: "1.465 GiB", -3 << 10: "-3 KiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 ns", 927: "927 ns", 4912: "4.91 µs", 999_600: "1 ms", 3_370_000: "3.37 ms", 61_000_000_000: "61 s"} {
		if got := Duration(n); got != want {
			t.Errorf("Duration(%d) = %q, want %q", n, got, want)
		}
	}
}

// What a person must be told: that it was killed, that it was not kernel swap, that pages were refused or damaged.
func TestTextSaysWhatMatters(t *testing.T) {
	text := func(change func(r *Report)) string {
		r := Report{
			Command: Command{Args: []string{"make", "test"}}, LimitBytes: 256 << 20, Swap: Swap{Device: "/dev/loop3", PagesOut: 1000},
			Pool: Pool{Codec: "minlz", PeakStoredPages: 1000, SavedBytes: 3 << 20, Ratio: 3.5, Rejected: map[string]uint64{}},
		}
		change(&r)
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct {
		change func(r *Report)
		says   string
	}{
		{func(r *Report) { r.Command.ExitCode = 3 }, "make test exited with 3"},
		{func(r *Report) {}, "with compressed swap"},
		{func(r *Report) {}, "3.50 to 1, 3 MiB saved"},
		{func(r *Report) { r.Pool.SavedBytes = -5 }, "nothing saved"},
		{func(r *Report) { r.Command.OOMKills = 1 }, "ran out of memory"},
		{func(r *Report) { r.Swap.Device = "" }, "this is not kernel swap"},
		{func(r *Report) { r.Swap, r.Pool.Codec = Swap{}, "" }, "without swap"},
		{func(r *Report) { r.Pool.PeakStoredPages = 1 }, "was not needed"},
		{func(r *Report) { r.Errors.Corrupt = 2 }, "2 pages were damaged"},
		{func(r *Report) { r.Errors.IO = 7 }, "7 requests failed"},
		{func(r *Report) { r.Pool.Rejected["full"] = 5000 }, "5,000 pages refused (full)"},
		{func(r *Report) { r.Workload = &workload.Result{Failures: 1} }, "1 wrong"},
	} {
		if got := text(c.change); !strings.Contains(got, c.says) {
			t.Errorf("want %q in:\n%s", c.says, got)
		}
	}
}
