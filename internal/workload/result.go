package workload

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/zswapd/zswapd/internal/histogram"
)

// Result is what a run did and measured.
type Result struct {
	Pages       int64  `json:"pages"`
	Composition string `json:"composition"` // of the pages, in percent
	Threads     int    `json:"threads"`
	Seed        uint64 `json:"seed"`

	Touches          int64   `json:"touches"`
	Writes           int64   `json:"writes"` // touches that changed the page
	TouchesPerSecond float64 `json:"touches_per_second"`
	FillSeconds      float64 `json:"fill_seconds"`
	TouchSeconds     float64 `json:"touch_seconds"`
	VerifySeconds    float64 `json:"verify_seconds"`

	// Touch has the first access of each touch. Fault has those of them that had to wait for swap: the kernel
	// counted a major fault of the thread meanwhile; or, in a run over a Pool, the page was loaded from it.
	Touch Latency `json:"touch_latency"`
	Fault Latency `json:"fault_latency"`

	Verified int64    `json:"verified"` // pages compared in the last phase: all, if the run was not cut short
	Children int64    `json:"children,omitempty"`
	Failures int64    `json:"failures"` // pages that came back wrong or not at all, each time that they did
	First    *Failure `json:"first_failure,omitempty"`

	times *times
}

// Latency sums up how long accesses took. Quantiles are at most 1/16 too high.
type Latency struct {
	Count uint64        `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

func newLatency(s histogram.Snapshot) Latency {
	l := Latency{Count: s.Count, P50: s.Quantile(0.5), P90: s.Quantile(0.9), P99: s.Quantile(0.99), P999: s.Quantile(0.999), Max: s.Max}
	if s.Count > 0 {
		l.Mean = s.Sum / time.Duration(s.Count)
	}
	return l
}

// Failure is a page that did not come back as it was written. It is the error of a run.
type Failure struct {
	Page    int64  `json:"page"`    // from the start of the region
	Version uint64 `json:"version"` // that it was last written with
	Seed    uint64 `json:"seed"`
	Phase   string `json:"phase"`
	Reason  string `json:"reason,omitempty"` // why there are no bytes to compare
	Offset  int    `json:"offset"`           // of the first wrong byte
	Want    string `json:"want,omitempty"`   // from there on, hexadecimal
	Got     string `json:"got,omitempty"`
}

// Error says which page, and what is wrong with it.
func (f *Failure) Error() string {
	where := fmt.Sprintf("workload: page %d, version %d, seed %d, %s phase: ", f.Page, f.Version, f.Seed, f.Phase)
	if f.Reason != "" {
		return where + f.Reason
	}
	return fmt.Sprintf("%swrong from byte %d on: want %s, got %s", where, f.Offset, f.Want, f.Got)
}

// compare notes where two different pages differ.
func (f *Failure) compare(want, got []byte) {
	const excerpt = 16
	for f.Offset = 0; want[f.Offset] == got[f.Offset]; f.Offset++ {
	}
	end := min(f.Offset+excerpt, len(want))
	f.Want, f.Got = hex.EncodeToString(want[f.Offset:end]), hex.EncodeToString(got[f.Offset:end])
}
