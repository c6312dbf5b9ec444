package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// fields is what readers of the JSON form may count on.
const fields = `version machine.kernel machine.cpu noise.busy noise.stolen
settings.rounds settings.warm_up_rounds settings.block_pages settings.zram_batch settings.together comparisons
rows.system rows.codec rows.default rows.corpus rows.threads rows.pages rows.same_filled_pages rows.duplicate_pages rows.incompressible_pages
rows.store_ns_per_page rows.restore_ns_per_page rows.load_ns_per_page
rows.store_mb_per_second rows.restore_mb_per_second rows.load_mb_per_second
rows.compressed_bytes rows.memory_bytes rows.compressed_ratio rows.effective_ratio rows.effective_ratio_without_same_filled rows.metadata_bytes_per_page
rows.single_page.store.ns_per_page rows.single_page.store.p50_ns rows.single_page.store.p99_ns rows.single_page.store.max_ns
rows.single_page.load.p50_ns rows.single_page.restore.p50_ns
rows.states.filled.pages rows.states.filled.compressed_bytes rows.states.filled.memory_bytes rows.states.filled.over_percent
rows.states.freed_50.freed.memory_bytes rows.states.freed_50.compacted.memory_bytes
rows.states.freed_90.compaction.frames rows.states.freed_90.compaction.objects rows.states.freed_90.compaction.frames_per_object
rows.states.freed_90.compaction.steps rows.states.freed_90.compaction.median_step_ns rows.states.freed_90.compaction.longest_step_ns rows.states.freed_90.compaction.total_ns
rows.noise.busy rows.noise.stolen`

func TestJSONContract(t *testing.T) {
	r, err := Run(t.Context(), complete(t, Options{Corpora: []string{"gen:typical"}, MaxPages: 1024}))
	must(t, err)
	var b bytes.Buffer
	must(t, r.WriteJSON(&b))
	var all map[string]any
	must(t, json.Unmarshal(b.Bytes(), &all))
	for field := range strings.FieldsSeq(fields) {
		at := any(all)
		for name := range strings.SplitSeq(field, ".") {
			m, _ := at.(map[string]any)
			if at = m[name]; at == nil {
				t.Errorf("no %s", field)
				break
			}
			if rows, ok := at.([]any); ok && len(rows) > 0 {
				at = rows[0]
			}
		}
	}
	if all["version"] != 1.0 {
		t.Errorf("version %v", all["version"])
	}
}

// The figures of a small corpus agree with each other.
func TestRun(t *testing.T) {
	steps, last := 0, 0
	o := complete(t, Options{
		Corpora: []string{"gen:typical", "gen:java"}, MaxPages: 800, Codecs: []string{"s2", "minlz"}, Threads: []int{1, 2}, Rounds: 2,
		Progress: func(done, total int, _ string) {
			if done != steps {
				t.Errorf("step %d after %d", done, steps)
			}
			steps++
			last = total
		},
	})
	r, err := Run(t.Context(), o)
	must(t, err)
	if steps != last || len(r.Rows) != 8 || len(r.Comparisons) != 0 {
		t.Fatalf("%d steps of %d, %d rows, %d comparisons", steps, last, len(r.Rows), len(r.Comparisons))
	}
	for i := range r.Rows {
		w := &r.Rows[i]
		if w.System != "zswapd" || w.Corpus != o.Corpora[i/4] || w.Threads != 1+i/2%2 || w.Codec != o.Codecs[i%2] || w.Default != (w.Codec == "minlz") {
			t.Errorf("row %d is %s, %s, %d threads, %s, default %v", i, w.System, w.Corpus, w.Threads, w.Codec, w.Default)
		}
		checkRow(t, w, 800, o.Rounds)
		if c := w.States.Freed90.Compaction; c.Steps == 0 || c.Objects == 0 || c.LongestStepNs < c.MedianStepNs || c.TotalNs < c.LongestStepNs {
			t.Errorf("row %d: %+v", i, c)
		}
		if a := w.States.Aged; a == nil || a.Pages != 800 || a.ColdPages < 400 || a.Clusters < 50 || a.EffectiveRatio <= w.EffectiveRatio ||
			a.PackNsPerPage <= 0 || a.ColdLoad.P50 <= 0 || a.ColdLoad.P50 > a.ColdLoad.P99 || a.ColdLoad.P99 > a.ColdLoad.Max {
			t.Errorf("row %d: aged: %+v", i, a)
		}
	}
}

// checkRow holds the figures of a row against each other.
func checkRow(t *testing.T, w *Row, pages int64, rounds int) {
	t.Helper()
	name := w.System + " " + w.Codec + " " + w.Corpus
	if w.Pages != pages || (w.SameFilledPages > 0) != (w.Corpus == "gen:typical") || w.DuplicatePages != 0 {
		t.Errorf("%s: %d pages, %d same-filled, %d duplicates", name, w.Pages, w.SameFilledPages, w.DuplicatePages)
	}
	for op, ns := range []float64{w.StoreNsPerPage, w.LoadNsPerPage, w.RestoreNsPerPage} {
		mb := []float64{w.StoreMBPerSecond, w.LoadMBPerSecond, w.RestoreMBPerSecond}[op]
		s := []Single{w.SinglePage.Store, w.SinglePage.Load, w.SinglePage.Restore}[op]
		if ns <= 0 || mb*ns < 4095e3 || mb*ns > 4097e3 || s.NsPerPage <= 0 || s.P50 <= 0 || s.P50 > s.P99 || s.P99 > s.Max || len(w.rounds[op]) != rounds {
			t.Errorf("%s: %s: %v ns, %v MB/s, %+v, rounds %v", name, opNames[op], ns, mb, s, w.rounds[op])
		}
	}
	if w.CompressedBytes <= 0 || w.MemoryBytes <= w.CompressedBytes || w.CompressedRatio < 1.5 || w.EffectiveRatio > w.CompressedRatio*1.1 || w.EffectiveRatio < 1.5 ||
		w.EffectiveRatioApart > w.EffectiveRatio || (w.EffectiveRatioApart < w.EffectiveRatio) != (w.SameFilledPages > 0) {
		t.Errorf("%s: compressed %d, memory %d, ratios %v %v %v", name, w.CompressedBytes, w.MemoryBytes, w.CompressedRatio, w.EffectiveRatio, w.EffectiveRatioApart)
	}
	if got := float64((w.Pages-w.SameFilledPages)*4096) / float64(w.CompressedBytes); got != w.CompressedRatio {
		t.Errorf("%s: compressed ratio %v, want %v", name, w.CompressedRatio, got)
	}
	if w.MetadataBytesPerPage < 20 || w.MetadataBytesPerPage > 80 {
		t.Errorf("%s: %v bytes of metadata a page", name, w.MetadataBytesPerPage)
	}
	for i, f := range []Freed{w.States.Freed50, w.States.Freed90} {
		left := pages - pages*int64([]int{50, 90}[i])/100
		if f.Freed.Pages != left || f.Compacted.Pages != left || f.Freed.CompressedBytes != f.Compacted.CompressedBytes ||
			f.Compacted.MemoryBytes >= f.Freed.MemoryBytes || f.Compacted.OverPercent >= f.Freed.OverPercent || f.Compaction.Frames <= 0 {
			t.Errorf("%s: %d pages left: %+v", name, left, f)
		}
	}
	if l := w.States.Filled; l.Pages != pages || l.MemoryBytes < w.States.Freed50.Freed.MemoryBytes || l.CompressedBytes != w.CompressedBytes {
		t.Errorf("%s: %d bytes: filled %+v, then %+v", name, w.CompressedBytes, l, w.States.Freed50.Freed)
	}
}

// Compaction goes on to its end and gives back what it freed, as in the background.
func TestCompactsAll(t *testing.T) {
	s := watched{poolSide: poolSide{codec: "minlz"}, t: t}
	var f Freed
	_, err := freeSome(t.Context(), s, testPages(t, 4000), 90, &f)
	must(t, err)
	if f.Compaction.Steps < 3 {
		t.Errorf("%+v", f.Compaction)
	}
}

// watched looks at the pool before it is closed.
type watched struct {
	poolSide
	t *testing.T
}

func (s watched) open(pages int64, threads int) (box, error) {
	b, err := s.poolSide.open(pages, threads)
	return watchedBox{b.(*poolBox), s.t}, err
}

type watchedBox struct {
	*poolBox
	t *testing.T
}

func (b watchedBox) close() error {
	if ready := b.p.Allocator().ReadyFrames; ready > 64 {
		b.t.Errorf("%d frames are still kept ready", ready)
	}
	if c, _ := b.p.Compact(1 << 30); c.Objects != 0 {
		b.t.Errorf("%d objects could still be moved", c.Objects)
	}
	return b.poolBox.close()
}

// All corpora in one store are one row, and pages that are in two of them are duplicates.
func TestTogether(t *testing.T) {
	o := complete(t, Options{Corpora: []string{"gen:java", "gen:json"}, MaxPages: 700, Together: true})
	o.sources[1] = o.sources[0]
	r, err := Run(t.Context(), o)
	must(t, err)
	if len(r.Rows) != 1 || r.Rows[0].Corpus != "together" || r.Rows[0].Pages != 1400 || r.Rows[0].DuplicatePages != 700 || !r.Settings.Together {
		t.Errorf("%d rows: %+v", len(r.Rows), r.Rows)
	}
}

// What may not fit the machine's free memory is refused before anything is taken.
func TestTooLarge(t *testing.T) {
	o := complete(t, Options{Corpora: []string{"gen:java"}, MaxPages: 1 << 31})
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--pages") {
		t.Error(err)
	}
}

// Whenever the context ends, Run ends with its cause.
func TestContextEndsRun(t *testing.T) {
	total := 1
	for at := 0; at < total; at++ {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := complete(t, Options{Corpora: []string{"gen:java"}, MaxPages: 600})
		o.Progress = func(done, of int, _ string) {
			if total = of; done == at {
				cancel(cause)
			}
		}
		if _, err := Run(ctx, o); !errors.Is(err, cause) {
			t.Errorf("at step %d: %v", at, err)
		}
		cancel(nil)
	}
	if total < 5 {
		t.Errorf("%d steps", total)
	}
}
