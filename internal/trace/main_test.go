package trace

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
)

var seedFlag = flag.Uint64("seed", 0, "of the random tests; 0: by the clock")

func random(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: -seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pages returns page after page of a typical memory image.
func pages(seed, first, n uint64) (list [][]byte) {
	s := pagegen.Source{Mix: pagegen.Typical, Seed: seed}
	for i := range n {
		p := make([]byte, PageSize)
		s.Fill(p, first+i, 0)
		list = append(list, p)
	}
	return list
}

// readAll returns all events of a trace, and why there are no more: nil for its end.
func readAll(b []byte) (Meta, []Event, error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return Meta{}, nil, err
	}
	defer r.Close()
	var all []Event
	for {
		events, err := r.Next()
		all = append(all, events...)
		switch {
		case errors.Is(err, io.EOF):
			return r.Meta(), all, nil
		case err != nil:
			return r.Meta(), all, err
		}
	}
}

// write returns a trace of these events.
func write(t testing.TB, m Meta, events []Event) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, m)
	must(t, err)
	for i := range events {
		must(t, w.Write(&events[i]))
	}
	must(t, w.Close())
	return b.Bytes()
}
