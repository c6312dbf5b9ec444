package fuse

import (
	"errors"
	"testing"
)

// Ready is called with every store made and no request served, and can call it all off.
func TestReady(t *testing.T) {
	store, made := newMemory(), 0
	refuse := errors.New("not yet")
	for _, want := range []error{nil, refuse} {
		made = 0
		s, err := Mount(Config{
			Pages: 16, Threads: 3,
			NewStore: func() Store { made++; return store },
			Ready: func() error {
				if made != 3 {
					t.Errorf("%d of 3 stores are made", made)
				}
				return want
			},
		})
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatalf("Ready returns %v, Mount %v", want, err)
		}
		if s != nil {
			closeInTime(t, s)
		}
	}
}
