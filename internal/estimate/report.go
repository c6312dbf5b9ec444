package estimate

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/zswapd/zswapd/internal/capture"
	"github.com/zswapd/zswapd/internal/machine"
)

// Report is the estimate. Its JSON form is a contract: fields are added, none is removed or renamed.
type Report struct {
	Version    int             `json:"version"` // 1
	Target     string          `json:"target"`
	Machine    machine.Machine `json:"machine"`
	Noise      machine.Noise   `json:"noise"`
	Population Population      `json:"population"`
	Sample     Sample          `json:"sample"`
	Codecs     []Codec         `json:"codecs"`
	Savings    []Saving        `json:"savings"` // with the codec of the choice
	Choice     Choice          `json:"choice"`
}

// Population is all the memory that the estimate is for.
type Population struct {
	Processes         int                      `json:"processes"` // that were looked at
	GoneProcesses     int                      `json:"gone_processes"`
	DeniedProcesses   int                      `json:"denied_processes"`
	EligibleBytes     int64                    `json:"eligible_bytes"` // resident, anonymous, could be swapped; what processes share once
	LeftOutBytes      map[capture.Reason]int64 `json:"left_out_bytes"` // resident and anonymous as well, by reason
	SwappedBytes      int64                    `json:"swapped_bytes"`  // out already
	UnreferencedBytes int64                    `json:"unreferenced_bytes"`
}

// Sample is what was measured of it.
type Sample struct {
	Pages           int64  `json:"pages"`
	Seed            uint64 `json:"seed"`
	SameFilledPages int64  `json:"same_filled_pages"`
	DuplicatePages  int64  `json:"duplicate_pages"` // not same-filled, and equal to another page of the sample
}

// Saving is what would come of swapping a part of the eligible memory out.
type Saving struct {
	IdlePercent  float64 `json:"idle_percent"`
	SwappedBytes int64   `json:"swapped_bytes"`
	PoolBytes    int64   `json:"pool_bytes"`
	FreedBytes   int64   `json:"freed_bytes"` // the difference
}

func describe(pop *capture.Population) Population {
	p := Population{
		Processes: len(pop.Processes), GoneProcesses: pop.Gone, DeniedProcesses: pop.Denied,
		EligibleBytes: pop.Pages * pageSize, LeftOutBytes: map[capture.Reason]int64{},
		SwappedBytes: pop.Swapped * pageSize, UnreferencedBytes: (pop.Pages - pop.Referenced) * pageSize,
	}
	for reason, pages := range pop.LeftOut {
		p.LeftOutBytes[reason] = pages * pageSize
	}
	return p
}

// chosen returns the figures of the codec that was chosen.
func (r *Report) chosen() *Codec {
	for i := range r.Codecs {
		if c := &r.Codecs[i]; c.UnitBytes == pageSize && c.Codec == r.Choice.Codec {
			return c
		}
	}
	panic("estimate: " + r.Choice.Codec + " was chosen, but not measured")
}

// WriteJSON writes the contract's form.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("estimate: %w", err)
	}
	return nil
}
