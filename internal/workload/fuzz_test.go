package workload

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzConfig: a configuration that is read and valid is within the limits, and says the same when it is written again.
func FuzzConfig(f *testing.F) {
	many, long := Default(), Default()
	many.Threads, long.Touches = maxThreads+1, maxTouches+1
	for _, c := range []Config{Default(), RandomTouches(1), {}, many, long} {
		text, err := json.Marshal(c)
		must(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := readConfig(bytes.NewReader(text))
		if err != nil || c.Validate() != nil {
			return
		}
		pages := c.Bytes / pageSize
		if c.Threads < 1 || c.Threads > maxThreads || pages < int64(c.Threads) || pages > maxPages || c.Touches < 0 || c.Touches > maxTouches ||
			c.Duration < 0 || c.Touches == 0 && c.Duration == 0 || c.Write < 0 || c.Write > 100 || c.Resident < 0 {
			t.Fatalf("valid: %+v", c)
		}
		again, err := json.Marshal(c)
		must(t, err)
		if c2, err := readConfig(bytes.NewReader(again)); err != nil || !reflect.DeepEqual(c, c2) {
			t.Fatalf("%+v, written and read again: %+v, %v", c, c2, err)
		}
	})
}

// FuzzFollow: whatever a child writes, the parent comes to an end, with a result or an error.
func FuzzFollow(f *testing.F) {
	f.Add([]byte(`{"progress":{"phase":"fill"}}{"result":{"pages":7}}`))
	f.Add([]byte(`{"result":{"first":{"page":3,"phase":"verify"}},"error":"no"}`))
	f.Add([]byte(`{"result":{"pages":7,"first_failure":{"page":3}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		res, err := Follow(bytes.NewReader(text), func(Progress) {})
		if err == nil && (res.First != nil || !bytes.Contains(bytes.ToLower(text), []byte("result"))) {
			t.Fatalf("%+v without an error", res)
		}
		if err != nil && err.Error() == "" {
			t.Fatalf("an error that says nothing: %#v", err)
		}
	})
}
