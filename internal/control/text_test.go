package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/control"
)

// TestHeadline: what people are told is a size that was saved, or words; JSON has the difference as it is.
func TestHeadline(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name   string
		pages  int64 // in memory and on disk
		memory int64
		disk   int64 // pages
		want   string
		ratio  bool // whether it is told
	}{
		{"empty", 1, 9 * mib, 0, "nothing is swapped out", false},
		{"a few pages", 100, 9 * mib, 0, "9.0 MiB of memory holds 400 KiB, nothing saved yet", false},
		{"a few pages, and saved", 512, mib, 0, "1.0 MiB of memory holds 2.0 MiB, 1.0 MiB saved", true},
		{"many that gain nothing", 25600, 101 * mib, 0, "101 MiB of memory holds 100 MiB, nothing saved", true},
		{"all on disk", 25600, 9 * mib, 25500, "9.0 MiB of memory holds 400 KiB, nothing saved in memory; 100 MiB more on disk", false},
	} {
		s := control.Stats{StoredPages: c.pages, MemoryBytes: c.memory, LimitBytes: 512 * mib}
		if c.disk > 0 {
			s.Backing = &control.Backing{Pages: c.disk}
		}
		st := control.NewStatus(control.Info{Started: time.Now(), Since: time.Now()}, s, time.Now())
		if got := st.Headline(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if want := s.Held() - c.memory; st.SavedBytes != want {
			t.Errorf("%s: %d bytes saved, want %d", c.name, st.SavedBytes, want)
		}
		var b strings.Builder
		if err := st.WriteText(&b); err != nil || strings.Contains(b.String(), "\n  ratio") != c.ratio || strings.Contains(b.String(), " -") {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
	}
}
