package histogram

import (
	"encoding/json"
	"fmt"
	"time"
)

// text is a snapshot in JSON: the sum and the maximum in nanoseconds, and the buckets that hold something, each with its
// index and its count. It is for processes of the same program.
type text struct {
	Sum    time.Duration `json:"sum"`
	Max    time.Duration `json:"max"`
	Counts [][2]uint64   `json:"counts"`
}

// MarshalJSON writes the snapshot for UnmarshalJSON of the same program.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	t := text{Sum: s.Sum, Max: s.Max}
	for i, n := range s.counts {
		if n > 0 {
			t.Counts = append(t.Counts, [2]uint64{uint64(i), n})
		}
	}
	return json.Marshal(t)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Snapshot) UnmarshalJSON(b []byte) error {
	var t text
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*s = Snapshot{Sum: t.Sum, Max: t.Max}
	for _, c := range t.Counts {
		if c[0] >= buckets {
			return fmt.Errorf("histogram: bucket %d of %d", c[0], buckets)
		}
		s.counts[c[0]] += c[1]
		s.Count += c[1]
	}
	return nil
}
