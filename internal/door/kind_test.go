package door

import (
	"errors"
	"testing"

	"github.com/zswapd/zswapd/internal/ublk"
)

// For the whole machine FUSE is taken only by name; without ublk there is no door, and it is said why.
func TestChoose(t *testing.T) {
	missing := ublk.Available()
	for _, k := range []Kind{"", Auto, UBLK} {
		got, why, err := Choose(k)
		switch {
		case missing == nil && (got != UBLK || why == "" || err != nil):
			t.Errorf("%q: %q, %q, %v", k, got, why, err)
		case missing != nil && (got != "" || !errors.Is(err, ublk.ErrUnavailable)):
			t.Errorf("%q without ublk: %q, %v", k, got, err)
		case missing != nil && (k != UBLK) != errors.Is(err, ErrNoDoor):
			t.Errorf("%q without ublk: %v", k, err)
		}
	}
	if got, why, err := Choose(FUSE); got != FUSE || why == "" || err != nil {
		t.Errorf("FUSE by name: %q, %q, %v", got, why, err)
	}
	if got, _, err := Choose("loop"); got != "" || err == nil {
		t.Errorf("an unknown kind: %q, %v", got, err)
	}
}

// Without a name a cgroup's door is FUSE, and a machine's is what Choose chooses.
func TestKindOfOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want Kind
	}{{Options{}, FUSE}, {Options{Kind: UBLK}, UBLK}, {Options{Kind: FUSE, WholeMachine: true}, FUSE}} {
		if got, err := c.o.kind(); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c.o, got, err)
		}
	}
	if _, err := (&Options{Kind: Auto}).kind(); err == nil {
		t.Error("auto for a cgroup")
	}
	o := Options{WholeMachine: true}
	if got, err := o.kind(); err == nil && got != UBLK || err != nil && !errors.Is(err, ErrNoDoor) {
		t.Errorf("a machine's door: %q, %v", got, err)
	}
}
