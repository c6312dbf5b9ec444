package serve

import "testing"

// The count of the day is kept where systemd says that the service may keep something, and nowhere else.
func TestNoteFile(t *testing.T) {
	for dirs, want := range map[string]string{
		"": "", "/var/lib/zswapd": "/var/lib/zswapd/written-today", "/a:/b": "/a/written-today", "relative": "",
	} {
		t.Setenv("STATE_DIRECTORY", dirs)
		if got := noteFile(); got != want {
			t.Errorf("STATE_DIRECTORY=%q: %q, want %q", dirs, got, want)
		}
	}
}
