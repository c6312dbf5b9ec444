package run

import "testing"

// TestRefusals: it is of no use when next to all is refused for ten seconds; a program with just enough room, or a pool that makes
// some, is left alone.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		full    func(second int) bool
		out, in uint64 // a second
		futile  bool
	}{
		"stuck":           {func(int) bool { return true }, 30_000, 20, true},
		"nothing goes in": {func(int) bool { return true }, 5000, 0, true},
		"just enough":     {func(int) bool { return true }, 60_000, 600, false},
		"slow disk":       {func(int) bool { return true }, 60_000, 250, false},
		"few come":        {func(int) bool { return true }, 4000, 0, false},
		"makes room":      {func(second int) bool { return second%9 != 0 }, 60_000, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r refusals
			out, in := uint64(0), uint64(1000)
			r.look(false, out, in)
			for second := 1; second <= 60; second++ {
				out, in = out+c.out, in+c.in
				got := r.look(c.full(second), out, in)
				if want := c.futile && second >= futileSeconds; got != want {
					t.Fatalf("after %d seconds: %t", second, got)
				}
			}
		})
	}
}
