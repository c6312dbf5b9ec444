package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/machine"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/trace"
)

// Version is that of the JSON form.
const Version = 1

// Report is the result of a replay. Fields are added, none is removed or renamed.
type Report struct {
	Version int             `json:"version"`
	Machine machine.Machine `json:"machine"`
	Noise   machine.Noise   `json:"noise"` // meanwhile
	Speed   string          `json:"speed"` // max or as-recorded
	Threads int             `json:"threads"`
	Trace   Trace           `json:"trace"`
	Systems []System        `json:"systems"`
}

// Trace is what was replayed. Pages are counted in pages of 4 KiB.
type Trace struct {
	File        string    `json:"file"`
	Began       time.Time `json:"began"`
	Command     []string  `json:"command"`
	Compressor  string    `json:"compressor"`
	Slots       uint64    `json:"slots"`
	Pages       bool      `json:"pages"` // false: generated pages of the recorded sizes
	Seconds     float64   `json:"seconds"`
	Events      uint64    `json:"events"`
	Stored      uint64    `json:"stored_pages"`
	Loaded      uint64    `json:"loaded_pages"`
	Invalidated uint64    `json:"invalidated_pages"`
	Refused     uint64    `json:"refused_pages"`
	LostEvents  uint64    `json:"lost_events"` // of which the trace says that it lacks them
	LostPages   uint64    `json:"lost_pages"`  // stored or loaded
	Problem     string    `json:"problem,omitempty"`
}

// System is what became of it in one system.
type System struct {
	Name        string      `json:"name"`
	LimitBytes  int64       `json:"limit_bytes"` // 0: none
	Store       Times       `json:"store_ns"`
	Load        Times       `json:"load_ns"`
	Refused     uint64      `json:"refused_pages"` // the system was full
	Wrong       uint64      `json:"wrong_pages"`   // that came back
	Peak        Memory      `json:"peak"`          // when the most pages were stored
	Ratio       float64     `json:"ratio"`         // pages over all memory, then
	PeakBytes   int64       `json:"peak_memory_bytes"`
	LateSeconds float64     `json:"late_seconds"` // the most that an event came after its time, at the recorded speed
	WallSeconds float64     `json:"wall_seconds"`
	Samples     []Sample    `json:"samples"`
	curves      [2][]bucket // stores, loads
}

// Sample is the memory at a time of the trace.
type Sample struct {
	At     float64 `json:"at"` // seconds
	Memory Memory  `json:"memory"`
}

// Times are of pages, in nanoseconds.
type Times struct {
	Pages uint64  `json:"pages"`
	Mean  float64 `json:"mean"`
	report.Quantiles
}

func timesOf(s *histogram.Snapshot) (t Times) {
	t.Pages, t.Quantiles = s.Count, report.QuantilesOf(s)
	if s.Count > 0 {
		t.Mean = float64(s.Sum) / float64(s.Count)
	}
	return t
}

func newReport(o *Options, m *trace.Meta) *Report {
	speed := "max"
	if o.Recorded {
		speed = "as-recorded"
	}
	return &Report{
		Version: Version, Machine: machine.Describe(), Speed: speed, Threads: o.Threads,
		Trace: Trace{File: o.File, Began: m.Began, Command: m.Command, Compressor: m.Compressor, Slots: m.Slots, Pages: m.Pages},
	}
}

// tally is what the events of a trace come to.
type tally struct {
	events, stored, loaded, invalidated, refused uint64
	lost                                         trace.Lost
	end                                          time.Duration
	problem                                      error
}

func (t *tally) add(events []trace.Event) {
	for i := range events {
		e := &events[i]
		t.end = e.At
		switch e.Op {
		case trace.Store:
			t.stored += e.Count
		case trace.Load:
			t.loaded += e.Count
		case trace.Invalidate:
			t.invalidated += e.Count
		case trace.Refused:
			t.refused += e.Count
		case trace.Gap:
			t.lost.Add(e.Lost)
			continue
		case trace.End:
			continue
		}
		t.events++
	}
}

func (a *Trace) fill(t *tally) {
	a.Seconds, a.Events = t.end.Seconds(), t.events
	a.Stored, a.Loaded, a.Invalidated, a.Refused = t.stored, t.loaded, t.invalidated, t.refused
	a.LostEvents, a.LostPages = t.lost.Events, t.lost.Stored+t.lost.Loaded
	if t.problem != nil {
		a.Problem = t.problem.Error()
	}
}

// result adds the players up.
func (r *session) result(wall time.Duration) (*System, error) {
	s := &System{Name: r.system.String(), WallSeconds: wall.Seconds()}
	if r.system.kind == "pool" {
		s.LimitBytes = r.system.limit
	}
	var store, load histogram.Snapshot
	first := ""
	for _, p := range r.players {
		a, b := p.store.Snapshot(), p.load.Snapshot()
		store, load = store.Add(&a), load.Add(&b)
		s.Refused += p.refused
		s.Wrong += p.wrong
		s.LateSeconds = max(s.LateSeconds, p.late.Seconds())
		if first == "" {
			first = p.first
		}
	}
	s.Store, s.Load = timesOf(&store), timesOf(&load)
	s.curves = [2][]bucket{curve(&store), curve(&load)}
	for _, m := range r.samples {
		s.PeakBytes = max(s.PeakBytes, m.Memory.MemoryBytes)
		if m.Memory.StoredPages > s.Peak.StoredPages {
			s.Peak = m.Memory
		}
	}
	s.Ratio = s.Peak.Ratio()
	s.Samples = thin(r.samples, maxSamples)
	if s.Wrong > 0 {
		return s, fmt.Errorf("%s: %s %w; the first: %s", s.Name, report.Count(s.Wrong), ErrWrong, first)
	}
	return s, nil
}

// maxSamples is how many a report has.
const maxSamples = 400

// thin keeps at most n samples, evenly, the last one among them.
func thin(all []Sample, n int) []Sample {
	if len(all) <= n {
		return all
	}
	few := make([]Sample, n)
	for i := range few {
		few[i] = all[(i+1)*len(all)/n-1]
	}
	return few
}

// bucket is a point of a distribution: the share of pages, in percent, that took at most so many ns.
type bucket struct{ ns, percent float64 }

func curve(s *histogram.Snapshot) (list []bucket) {
	seen := uint64(0)
	for upper, n := range s.Buckets() {
		seen += n
		list = append(list, bucket{float64(upper), 100 * float64(seen) / float64(s.Count)})
	}
	return list
}

// WriteJSON writes the form for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
