package workload

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestServeFollow(t *testing.T) {
	c := small(2, Page)
	in, err := json.Marshal(c)
	must(t, err)
	r, w := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), strings.NewReader(string(in)), w)
		w.Close()
	}()
	var phases []string
	res, err := Follow(r, func(p Progress) { phases = append(phases, p.Phase) })
	must(t, err)
	must(t, <-served)
	checkWhole(t, c, res)
	if got := strings.Join(phases, " "); got != "fill touch verify" {
		t.Errorf("phases %s", got)
	}
}

func TestServeRefuses(t *testing.T) {
	for in, want := range map[string]string{`{"byte": 1}`: "unknown field", `{"bytes": 4096}`: "0 threads", ``: "EOF"} {
		var out strings.Builder
		err := Serve(t.Context(), strings.NewReader(in), &out)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
		if _, followed := Follow(strings.NewReader(out.String()), nil); followed == nil {
			t.Errorf("%s: the parent sees no error in %q", in, out.String())
		}
	}
}

func TestFollow(t *testing.T) {
	want := Result{Pages: 7, Failures: 1, First: &Failure{Page: 3, Seed: 9, Phase: "verify", Offset: 5, Want: "00", Got: "01"}}
	b, err := json.Marshal(message{Result: &want})
	must(t, err)
	res, err := Follow(strings.NewReader(string(b)), nil)
	var f *Failure
	if !errors.As(err, &f) || !reflect.DeepEqual(res, want) {
		t.Errorf("%v, %+v", err, res)
	}
	for _, cut := range []string{"", `{"progress":{"phase":"fill"}}`, string(b[:len(b)/2])} {
		if _, err := Follow(strings.NewReader(cut), nil); !errors.Is(err, ErrNoResult) {
			t.Errorf("%q: %v", cut, err)
		}
	}
	if _, err := Follow(strings.NewReader("panic: no"), nil); err == nil || errors.Is(err, ErrNoResult) {
		t.Errorf("what is no JSON: %v", err)
	}
}
