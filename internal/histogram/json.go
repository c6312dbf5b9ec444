package histogram

import (
	"encoding/json"
	"fmt"
	"time"
)

// text is a snapshot in JSON, in nanoseconds. A bucket that holds something is the largest duration that it may hold, and
// how many it does; the smallest is one more than what the bucket below may hold.
type text struct {
	Count   uint64        `json:"count"`
	Sum     time.Duration `json:"sum_ns"`
	Max     time.Duration `json:"max_ns"`
	Buckets [][2]uint64   `json:"buckets"`
}

// MarshalJSON writes the snapshot for UnmarshalJSON, and for people.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	t := text{Count: s.Count, Sum: s.Sum, Max: s.Max, Buckets: [][2]uint64{}}
	for i, n := range s.counts {
		if n > 0 {
			t.Buckets = append(t.Buckets, [2]uint64{upper(i), n})
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
	for _, b := range t.Buckets {
		i := bucket(b[0])
		if upper(i) != b[0] {
			return fmt.Errorf("histogram: no bucket ends at %d ns", b[0])
		}
		s.counts[i] += b[1]
		s.Count += b[1]
	}
	if s.Count != t.Count {
		return fmt.Errorf("histogram: %d in all, %d in the buckets", t.Count, s.Count)
	}
	return nil
}
